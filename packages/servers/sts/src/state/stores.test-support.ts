import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { StsState } from '../index.ts'

/** A state under test: two views of one store, as two instances have them. A store of one process gives the same twice. */
export interface StateUnderTest {
  readonly states: readonly [StsState, StsState]
  close(): Promise<void>
}

/** What every state does. Times are the machine's. */
export function describeState(name: string, open: () => Promise<StateUnderTest>): void {
  describe(name, () => {
    let under: StateUnderTest
    let one: StsState
    let two: StsState
    beforeAll(async () => {
      under = await open()
      ;[one, two] = under.states
    })
    afterAll(() => under.close())
    const later = (): number => Date.now() + 60_000
    const entry = (value = '{}', family?: string) => ({ value, expiresAtMs: later(), ...(family !== undefined && { family }) })

    it('gives back what was put, on either instance, until it is removed', async () => {
      const key = randomUUID()
      expect(await one.get(key)).toBeUndefined()
      await one.put(key, entry('{"a":"ü\\u0000"}'))
      expect(await two.get(key)).toEqual({ value: '{"a":"ü\\u0000"}' })
      await two.put(key, entry('{"b":1}'))
      expect(await one.get(key)).toEqual({ value: '{"b":1}' })
      await one.remove(key)
      expect(await two.get(key)).toBeUndefined()
      await one.remove(key)
    })

    it('forgets what has expired', async () => {
      const key = randomUUID()
      await one.put(key, { value: '{}', expiresAtMs: Date.now() + 500 })
      expect(await one.get(key)).toEqual({ value: '{}' })
      await new Promise((resolve) => setTimeout(resolve, 550))
      expect(await two.get(key)).toBeUndefined()
      expect(await two.consume(key)).toBe('absent')
      expect(await two.putIfAbsent(key, entry())).toBe(true)
    })

    it('lets one of many use an entry up, and tells the others', async () => {
      const key = randomUUID()
      await one.put(key, entry('{"x":1}'))
      const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => (at % 2 === 0 ? one : two).consume(key)))
      expect(answers.filter((answer) => answer === 'first')).toHaveLength(1)
      expect(answers.filter((answer) => answer === 'again')).toHaveLength(49)
      const kept = await two.get(key)
      expect(kept?.value).toBe('{"x":1}')
      expect(Math.abs(Date.now() - (kept?.consumedAtMs ?? 0))).toBeLessThan(10_000)
      expect(await one.consume(randomUUID())).toBe('absent')
    })

    it('puts what must be new once', async () => {
      const key = randomUUID()
      const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => (at % 2 === 0 ? one : two).putIfAbsent(key, entry())))
      expect(answers.filter(Boolean)).toHaveLength(1)
    })

    it('removes a family and nothing else', async () => {
      const family = randomUUID()
      const keys = [randomUUID(), randomUUID(), randomUUID()]
      for (const key of keys) await one.put(key, entry('{}', family))
      const stranger = randomUUID()
      await one.put(stranger, entry('{}', randomUUID()))
      await two.removeFamily(family)
      for (const key of keys) expect(await one.get(key)).toBeUndefined()
      expect(await one.get(stranger)).toEqual({ value: '{}' })
      await two.removeFamily(family)
    })

    it('takes keys and values as they are', async () => {
      const odd = `'; drop table entry; --\n${randomUUID()}`
      await one.put(odd, entry(`{"quote":"'\\"$1"}`, `'$2`))
      expect(await two.get(odd)).toEqual({ value: `{"quote":"'\\"$1"}` })
      await two.removeFamily(`'$2`)
      expect(await one.get(odd)).toBeUndefined()
    })
  })
}
