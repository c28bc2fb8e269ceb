import { manualClock } from '@portcullis/core/testing'
import { expect, it } from 'vitest'
import { memoryState } from '../index.ts'
import { describeState } from './stores.test-support.ts'

describeState('memory', async () => {
  const state = memoryState()
  return { states: [state, state], close: async () => undefined }
})

it('refuses what it has no room for, and forgets nothing but what has expired', async () => {
  const clock = manualClock()
  const state = memoryState({ maxEntries: 2, clock })
  const until = (ms: number) => ({ value: '{}', expiresAtMs: clock.now() + ms })
  await state.put('a', until(1_000))
  await state.put('b', { ...until(60_000), family: 'f' })
  await expect(state.put('c', until(60_000))).rejects.toMatchObject({ code: 'ERR_STS_STATE_FULL', reason: 'overload' })
  expect(await state.get('a')).toBeDefined()
  clock.advance(2_000)
  await state.put('c', until(60_000))
  expect(await state.get('b')).toBeDefined()
  await state.put('b', until(60_000))
  await state.removeFamily('f')
  expect(await state.get('b')).toBeDefined()
  expect(() => memoryState({ maxEntries: 0 })).toThrow(/maxEntries/)
})
