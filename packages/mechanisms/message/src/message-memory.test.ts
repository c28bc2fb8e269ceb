import { manualClock } from '@portcullis/core/testing'
import { describe, expect, it } from 'vitest'
import { messageMemory } from './index.ts'

describe('messageMemory', () => {
  it('tells a first sighting from one at the same position and one elsewhere, until the time is over', () => {
    const clock = manualClock()
    const memory = messageMemory({ clock })
    const until = clock.now() + 1_000
    expect(memory.see('a', 'orders/0/1', until)).toBe('first')
    expect(memory.see('a', 'orders/0/1', until)).toBe('again')
    expect(memory.see('a', 'orders/0/2', until)).toBe('elsewhere')
    expect(memory.see('b', '', until)).toBe('first')
    expect(memory.see('b', '', until)).toBe('elsewhere')
    clock.advance(1_000)
    expect(memory.see('a', 'orders/0/2', until + 1_000)).toBe('first')
  })

  it('has a bound, and forgets nothing early to make room', () => {
    const clock = manualClock()
    const memory = messageMemory({ clock, maxEntries: 2 })
    const until = clock.now() + 1_000
    expect(['a', 'b', 'c', 'a'].map((id) => memory.see(id, 'p', until))).toEqual(['first', 'first', 'full', 'again'])
    clock.advance(1_000)
    expect(memory.see('c', 'p', clock.now() + 1)).toBe('first')
  })

  it.each([{ maxEntry: 5 }, { maxEntries: 0 }, { maxEntries: Number.NaN }, { MaxEntries: 1 }, { ttlMs: 5 }])(
    'is not made with %o',
    (wrong) => {
      expect(() => messageMemory(wrong as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
    },
  )
})
