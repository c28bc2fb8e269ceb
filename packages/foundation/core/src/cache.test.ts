import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BoundedCache, SingleFlight } from './index.ts'
import { manualClock } from './testing.ts'

describe('BoundedCache', () => {
  it('forgets each entry at its time, and the least recently used when full', () => {
    const clock = manualClock(0)
    const cache = new BoundedCache<string, number>({ maxEntries: 2, clock })
    cache.set('a', 1, 100)
    cache.set('b', 2, 200)
    expect(cache.get('a')).toBe(1)
    cache.set('c', 3, 300)
    expect(cache.get('b')).toBe(undefined)
    expect(cache.get('a')).toBe(1)
    clock.advance(100)
    expect(cache.get('a')).toBe(undefined)
    expect(cache.get('c')).toBe(3)
    expect(cache.size).toBe(1)
  })

  it('holds as many as it may, and puts out only when it is full', () => {
    const clock = manualClock(0)
    const cache = new BoundedCache<number, number>({ maxEntries: 3, clock })
    for (let key = 0; key < 3; key++) cache.set(key, key, 100)
    expect([0, 1, 2].map((key) => cache.get(key))).toEqual([0, 1, 2])
    for (let key = 3; key < 50; key++) cache.set(key, key, 100)
    expect(cache.size).toBe(3)
    expect([46, 47, 48, 49].map((key) => cache.get(key))).toEqual([undefined, 47, 48, 49])
  })

  it('is an LRU, whatever the order of uses', () => {
    const operation = fc.tuple(fc.constantFrom('get' as const, 'set' as const, 'delete' as const, 'clear' as const), fc.nat(5))
    fc.assert(
      fc.property(fc.array(operation, { maxLength: 60 }), (operations) => {
        const cache = new BoundedCache<number, number>({ maxEntries: 3 })
        // The same, written as plainly as it reads: oldest first.
        let model: number[] = []
        for (const [what, key] of operations) {
          const held = model.includes(key)
          const others = model.filter((one) => one !== key)
          if (what === 'get') {
            expect(cache.get(key)).toBe(held ? key : undefined)
            if (held) model = [...others, key]
          } else if (what === 'set') {
            cache.set(key, key, Number.POSITIVE_INFINITY)
            model = [...others, key].slice(-3)
          } else if (what === 'delete') {
            expect(cache.delete(key)).toBe(held)
            model = others
          } else if (key === 0) {
            cache.clear()
            model = []
          }
          expect(cache.size).toBe(model.length)
        }
        expect(model.map((key) => cache.get(key))).toEqual(model)
      }),
      { numRuns: 500 },
    )
  })

  it('puts if absent in one step, and refuses rather than forgets when full', () => {
    const clock = manualClock(0)
    const cache = new BoundedCache<string, true>({ maxEntries: 2, clock })
    expect(cache.putIfAbsent('a', true, 10_000)).toBe(true)
    expect(cache.putIfAbsent('a', true, 10_000)).toBe(false)
    expect(cache.putIfAbsent('b', true, 5_000)).toBe(true)
    expect(cache.putIfAbsent('c', true, 5_000)).toBe('full')
    clock.advance(5_000)
    expect(cache.putIfAbsent('c', true, 15_000)).toBe(true)
    expect(cache.putIfAbsent('a', true, 10_000)).toBe(false)
    // Full of what is over in part: what is over makes room, and one whose own time is over takes its own place.
    clock.advance(5_000)
    expect(cache.putIfAbsent('a', true, 20_000)).toBe(true)
    expect(cache.putIfAbsent('d', true, 20_000)).toBe('full')
    expect(cache.size).toBe(2)
  })

  it('lets what is over go while others come, and finds room within a second though it was full', () => {
    const clock = manualClock(0)
    const cache = new BoundedCache<number, true>({ maxEntries: 100_000, clock })
    for (let key = 0; key < 20_000; key++) {
      clock.advance(1)
      expect(cache.putIfAbsent(key, true, clock.now() + 1_000)).toBe(true)
    }
    expect(cache.size).toBeLessThan(3_000)
    const small = new BoundedCache<number, true>({ maxEntries: 100, clock })
    const until = clock.now() + 60_000
    for (let key = 0; key < 100; key++) expect(small.putIfAbsent(key, true, key === 50 ? until : until + 60_000)).toBe(true)
    expect(small.putIfAbsent(100, true, until)).toBe('full')
    clock.advance(60_000)
    expect(small.putIfAbsent(100, true, until + 60_000)).toBe(true)
    expect(small.putIfAbsent(101, true, until + 60_000)).toBe('full')
    // A clock that is set back is no reason to wait for it.
    clock.step(0)
    expect(small.putIfAbsent(102, true, until)).toBe('full')
    clock.step(until + 60_000)
    expect(small.putIfAbsent(103, true, until + 120_000)).toBe(true)
  })

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, undefined as never])('does not take %s as its bound', (maxEntries) => {
    expect(() => new BoundedCache({ maxEntries })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })
})

describe('SingleFlight', () => {
  it('shares one piece of work, and its failure, and keeps neither', async () => {
    const flight = new SingleFlight<string, number>()
    let worked = 0
    const work = async (): Promise<number> => ++worked
    expect(await Promise.all([flight.run('a', work), flight.run('a', work), flight.run('b', work)])).toEqual([1, 1, 2])
    const failing = async (): Promise<number> => {
      worked++
      throw new Error('no')
    }
    const results = await Promise.allSettled([flight.run('a', failing), flight.run('a', failing)])
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected'])
    expect(worked).toBe(3)
    expect(await flight.run('a', work)).toBe(4)
    expect(flight.size).toBe(0)
  })

  it('aborts the work when the last caller has gone, and starts anew for the next', async () => {
    const flight = new SingleFlight<string, string>()
    const signals: AbortSignal[] = []
    const work = (signal: AbortSignal): Promise<string> => {
      signals.push(signal)
      return new Promise((resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason))
        setTimeout(() => resolve('done'), 20)
      })
    }
    const [a, b] = [new AbortController(), new AbortController()]
    const one = flight.run('k', work, a.signal)
    const two = flight.run('k', work, b.signal)
    a.abort(new Error('a'))
    await expect(one).rejects.toThrow('a')
    expect(signals[0]?.aborted).toBe(false)
    b.abort(new Error('b'))
    await expect(two).rejects.toThrow('b')
    expect(signals[0]?.aborted).toBe(true)
    expect(await flight.run('k', work)).toBe('done')
    expect(signals.length).toBe(2)
    await expect(flight.run('k', work, AbortSignal.abort(new Error('early')))).rejects.toThrow('early')
    expect(flight.size).toBe(0)
  })

  it('leaves a later flight alone when an earlier one that was given up lands', async () => {
    const flight = new SingleFlight<string, string>()
    const landings: ((value: string) => void)[] = []
    const work = (): Promise<string> => new Promise((resolve) => landings.push(resolve))
    const caller = new AbortController()
    const given = flight.run('k', work, caller.signal)
    caller.abort(new Error('gave up'))
    await expect(given).rejects.toThrow('gave up')
    const first = flight.run('k', work)
    landings[0]?.('old')
    await Promise.resolve()
    const second = flight.run('k', work)
    expect(landings.length).toBe(2)
    landings[1]?.('new')
    expect(await Promise.all([first, second])).toEqual(['new', 'new'])
  })
})
