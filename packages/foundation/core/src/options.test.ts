import { describe, expect, it } from 'vitest'
import { checkOptions, requireFunction, requireNumber, requireText, requireTexts } from './index.ts'

interface Options {
  readonly audience: string
  readonly issuer?: string
}
const check = (options: unknown): void => checkOptions<Options>('verify', options as Options, { audience: true, issuer: true })

describe('options', () => {
  it('are refused when misspelt, with the name that was meant', () => {
    expect(() => check({ audience: 'a' })).not.toThrow()
    expect(() => check({ audiance: 'a' })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN', message: expect.stringContaining('did you mean "audience"?') }),
    )
    expect(() => check({ audience: 'a', zzz: 1 })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
    expect(() => check(Object.create({ audiance: 'a' }))).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
    expect(() => check(JSON.parse('{"__proto__":{},"audience":"a"}'))).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
    for (const none of [null, undefined, 'x', 1, []])
      expect(() => check(none)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })

  it('are refused when empty or falsy', () => {
    for (const text of ['', ' ', 0, null, false, []])
      expect(() => requireText('x', text)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => requireText('x', undefined)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_MISSING' }))
    for (const list of [[], [''], ['a', ''], '', [1], null, {}])
      expect(() => requireTexts('x', list)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(requireTexts('x', 'a')).toEqual(['a'])
    for (const number of [Number.NaN, -1, 11, Number.POSITIVE_INFINITY, '5', null])
      expect(() => requireNumber('x', number, { min: 0, max: 10 })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(requireNumber('x', 0, { min: 0, max: 10 })).toBe(0)
    expect(() => requireFunction('x', true as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => requireFunction('x', undefined)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_MISSING' }))
  })
})
