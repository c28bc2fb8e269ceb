import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { bearer } from './fixtures.test-support.ts'
import {
  cached,
  forTargets,
  keepWarm,
  sameCredential,
  secret,
  UnavailableError,
  type Credential,
  type CredentialSource,
  type SourceRequest,
  type Supplied,
} from './index.ts'
import { maxTargets } from './credential-sources.ts'
import { manualClock } from './testing.ts'

const target = { origin: 'https://a.example', secure: true }
const tokenOf = ({ credential }: Supplied): string => (credential.kind === 'bearer' ? credential.token.reveal() : credential.kind)

function counting(clock: ReturnType<typeof manualClock>, lifetimeMs = 100_000) {
  const state = { fetched: 0, failing: false, asked: [] as SourceRequest[] }
  const source: CredentialSource = async (asked) => {
    state.asked.push(asked)
    await new Promise((resolve) => setImmediate(resolve))
    if (state.failing) throw new UnavailableError('ERR_X', 'down')
    return { credential: bearer(`t${++state.fetched}`), expiresAt: new Date(clock.now() + lifetimeMs) }
  }
  return { state, source }
}
const settle = async (): Promise<void> => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('cached', () => {
  it('fetches once for many concurrent callers, per target', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    const reused = cached(source, { clock })
    const all = await Promise.all(Array.from({ length: 100 }, () => reused({ target })))
    expect(new Set(all.map(tokenOf))).toEqual(new Set(['t1']))
    expect(tokenOf(await reused({ target: { origin: 'https://b.example', secure: true } }))).toBe('t2')
    expect(state.fetched).toBe(2)
  })

  it('refreshes ahead in the background, keeps the old one while that fails, and never serves an expired one', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    const reused = cached(source, { clock, random: () => 0, refreshAheadMs: 20_000 })
    await reused({ target })
    clock.advance(79_999)
    expect(tokenOf(await reused({ target }))).toBe('t1')
    await settle()
    expect(state.fetched).toBe(1)
    state.failing = true
    clock.advance(10_000)
    expect(tokenOf(await reused({ target }))).toBe('t1')
    await settle()
    state.failing = false
    expect(tokenOf(await reused({ target }))).toBe('t1')
    await settle()
    expect(tokenOf(await reused({ target }))).toBe('t2')
    state.failing = true
    clock.advance(100_000)
    await expect(async () => reused({ target })).rejects.toMatchObject({ code: 'ERR_X' })
  })

  it('fetches one new credential for a burst of refusals of the same', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    const reused = cached(source, { clock })
    const { credential } = await reused({ target })
    const again = await Promise.all(Array.from({ length: 50 }, () => reused({ target, refused: credential })))
    expect(new Set(again.map(tokenOf))).toEqual(new Set(['t2']))
    expect(tokenOf(await reused({ target, refused: credential }))).toBe('t2')
    expect(state.fetched).toBe(2)
    expect(state.asked[1]?.refused).toBe(credential)
  })

  it('says so when the source has no other', async () => {
    const fixed = cached(() => ({ credential: bearer('only') }))
    const { credential } = await fixed({ target })
    await expect(async () => fixed({ target, refused: credential })).rejects.toMatchObject({ code: 'ERR_SOURCE_EXHAUSTED' })
  })

  it('fails only the caller that gave up', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    const reused = cached(source, { clock })
    const abort = new AbortController()
    const one = Promise.resolve(reused({ target, signal: abort.signal }))
    const other = Promise.resolve(reused({ target }))
    abort.abort(new Error('gone'))
    await expect(one).rejects.toThrow('gone')
    expect(tokenOf(await other)).toBe('t1')
    expect(state.asked[0]?.signal?.aborted).toBe(false)
  })

  it('keeps the credentials of as many targets as it may, and puts out the oldest first', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    const reused = cached(source, { clock })
    const at = (number: number) => reused({ target: { origin: `https://${number}.example`, secure: true } })
    for (let number = 0; number <= maxTargets; number++) await at(number)
    const fetched = state.fetched
    for (let number = 1; number <= maxTargets; number++) await at(number)
    expect(state.fetched).toBe(fetched)
    await at(0)
    expect(state.fetched).toBe(fetched + 1)
  })

  it('may be applied twice', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    const twice = cached(cached(source, { clock }), { clock })
    await twice({ target })
    await twice({ target })
    expect(state.fetched).toBe(1)
  })
})

describe('keepWarm', () => {
  it('has a value without waiting, renews ahead, tells who listens', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    using warm = keepWarm(source, target, { clock, random: () => 0, refreshAheadMs: 20_000 })
    expect(() => warm.current()).toThrow(expect.objectContaining({ code: 'ERR_SOURCE_NOT_READY' }))
    await warm.ready()
    const seen: string[] = []
    warm.subscribe((supplied) => seen.push(tokenOf(supplied)))
    expect(tokenOf(warm.current())).toBe('t1')
    await clock.advanceAsync(80_000)
    await settle()
    expect(tokenOf(warm.current())).toBe('t2')
    expect(seen).toEqual(['t2'])
    expect(state.fetched).toBe(2)
  })

  it('keeps the last good one through failures, backs off within a bound, and stops giving it at expiry', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    const failures: unknown[] = []
    const warm = keepWarm(source, target, { clock, random: () => 0.5, retryMs: 1_000, onFailure: (error) => failures.push(error) })
    await warm.ready()
    state.failing = true
    for (let second = 0; second < 99; second++) {
      await clock.advanceAsync(1_000)
      await settle()
    }
    expect(tokenOf(warm.current())).toBe('t1')
    expect(failures.length).toBeGreaterThan(2)
    await clock.advanceAsync(1_000)
    expect(() => warm.current()).toThrow(expect.objectContaining({ code: 'ERR_SOURCE_NOT_READY' }))
    const asked = state.asked.length
    for (let minute = 0; minute < 10; minute++) {
      await clock.advanceAsync(60_000)
      await settle()
    }
    expect(state.asked.length - asked).toBeGreaterThanOrEqual(9)
    expect(state.asked.length - asked).toBeLessThan(25)
    state.failing = false
    await clock.advanceAsync(60_000)
    await settle()
    expect(tokenOf(warm.current())).toBe('t2')
    warm.close()
    expect(clock.pending).toBe(0)
  })

  it('learns of a new credential within a moment also over a source that caches by itself', async () => {
    const clock = manualClock()
    const { source } = counting(clock)
    using warm = keepWarm(cached(source, { clock, random: () => 0, refreshAheadMs: 20_000 }), target, {
      clock,
      random: () => 0,
      refreshAheadMs: 20_000,
    })
    await warm.ready()
    await clock.advanceAsync(80_000)
    await settle()
    await clock.advanceAsync(1_000)
    await settle()
    expect(tokenOf(warm.current())).toBe('t2')
  })

  it('fetches another when the present one is refused, and not when an older one is', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    using warm = keepWarm(source, target, { clock })
    await warm.ready()
    const first = warm.current().credential
    warm.refuse(first)
    await settle()
    warm.refuse(first)
    await settle()
    expect(tokenOf(warm.current())).toBe('t2')
    expect(state.fetched).toBe(2)
  })
})

describe('keepWarm, with a source or a listener that fails it,', () => {
  it('hands on which credential was refused, and nothing otherwise', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    using warm = keepWarm(source, target, { clock })
    await Promise.all([warm.ready(), warm.ready()])
    expect(state.fetched).toBe(1)
    const { credential } = warm.current()
    warm.refuse(credential)
    await settle()
    expect(state.asked.map(({ refused }) => refused)).toEqual([undefined, credential])
    expect(Object.hasOwn(state.asked[0] as object, 'refused')).toBe(false)
  })

  it('is ready once a later fetch succeeds', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    state.failing = true
    using warm = keepWarm(source, target, { clock })
    await expect(warm.ready()).rejects.toMatchObject({ code: 'ERR_X' })
    state.failing = false
    await warm.ready()
    expect(tokenOf(warm.current())).toBe('t1')
  })

  it('asks a source that has nothing newer ever more rarely', async () => {
    const clock = manualClock()
    const only = { credential: bearer('only'), expiresAt: new Date(clock.now() + 100_000) }
    let asked = 0
    using warm = keepWarm(() => (asked++, only), target, { clock, random: () => 0.5, retryMs: 1_000 })
    await warm.ready()
    for (let second = 0; second < 3_600; second++) await clock.advanceAsync(1_000)
    expect(asked).toBeGreaterThan(50)
    expect(asked).toBeLessThan(100)
  })

  it('tells the others when one listener throws, and takes it for no failure of the source', async () => {
    const clock = manualClock()
    const { state, source } = counting(clock)
    const failures: unknown[] = []
    using warm = keepWarm(source, target, { clock, onFailure: (error) => failures.push(error) })
    await warm.ready()
    const warned = once(process, 'warning')
    const told: string[] = []
    warm.subscribe(() => {
      throw new Error('faulty listener')
    })
    warm.subscribe((supplied) => told.push(tokenOf(supplied)))
    warm.refuse(warm.current().credential)
    await settle()
    expect(told).toEqual(['t2'])
    expect(failures).toEqual([])
    expect(state.fetched).toBe(2)
    await expect(warned).resolves.toMatchObject([{ message: 'faulty listener' }])
  })
})

describe('forTargets', () => {
  it('yields only to the named origins over secure channels', () => {
    const check = forTargets('source', ['https://A.example:443/path', 'kafka://b.example:9094'])
    expect(() => check({ target })).not.toThrow()
    expect(() => check({ target: { origin: 'kafka://b.example:9094', secure: true } })).not.toThrow()
    for (const origin of ['https://a.example:444', 'http://a.example', 'https://a.example.evil.example', 'kafka://b.example:9095'])
      expect(() => check({ target: { origin, secure: true } })).toThrow(expect.objectContaining({ code: 'ERR_SOURCE_TARGET' }))
    expect(() => check({ target: { ...target, secure: false } })).toThrow(expect.objectContaining({ code: 'ERR_SOURCE_INSECURE' }))
    expect(() => forTargets('source', [])).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => forTargets('source', ['not an origin'])).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })
})

describe('sameCredential', () => {
  it('compares kind, carrier and every part', () => {
    const key = (bytes: number[]): Credential => ({ kind: 'publicKey', carrier: 'ssh', algorithm: 'x', key: new Uint8Array(bytes) })
    expect(sameCredential(bearer('a'), bearer('a'))).toBe(true)
    expect(sameCredential(bearer('a'), bearer('b'))).toBe(false)
    expect(sameCredential(bearer('a'), bearer('a', 'cookie:x'))).toBe(false)
    expect(sameCredential(key([1]), key([1]))).toBe(true)
    expect(sameCredential(key([1]), key([2]))).toBe(false)
    const withMore = Object.assign(bearer('a'), { more: 1 })
    expect(sameCredential(bearer('a'), withMore)).toBe(false)
    expect(sameCredential(withMore, bearer('a'))).toBe(false)
    expect(
      sameCredential(
        { kind: 'basic', carrier: 'a', username: 'u', password: secret('p') },
        { kind: 'basic', carrier: 'a', username: 'u', password: secret('q') },
      ),
    ).toBe(false)
  })
})
