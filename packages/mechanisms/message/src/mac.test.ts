import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Mac } from './mac.ts'

const asciiKey = fc.string({
  unit: fc.integer({ min: 0, max: 0x7f }).map((code) => String.fromCharCode(code)),
  minLength: 1,
  maxLength: 64,
})
const anyText = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 300 }), fc.string({ unit: 'grapheme-ascii', maxLength: 3_000 }))

describe('Mac', () => {
  it('makes the tags of HMAC-SHA-256, for keys of any length that it takes and any text', () => {
    fc.assert(
      fc.property(asciiKey, anyText, (key, text) => {
        const mac = new Mac(key)
        const expected = createHmac('sha256', key).update(text).digest('base64url')
        expect(mac.tag(text)).toBe(expected)
        expect(mac.verify(text, expected)).toBe(true)
        // Nothing of a computation stays for the next.
        expect(mac.tag(text)).toBe(expected)
        expect(mac.tag(`${text}.`)).toBe(createHmac('sha256', key).update(`${text}.`).digest('base64url'))
      }),
      { numRuns: 500 },
    )
  })

  it('makes the tag of RFC 4231 section 4.3', () => {
    expect(Buffer.from(new Mac('Jefe').tag('what do ya want for nothing?'), 'base64url').toString('hex')).toBe(
      '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843',
    )
  })

  it('refuses a tag with any character changed, a shorter and a longer one, and each other spelling of its bytes', () => {
    const mac = new Mac('k'.repeat(43))
    const tag = mac.tag('text')
    for (let at = 0; at < tag.length; at++) {
      for (const wrong of [
        tag[at] === 'A' ? 'B' : 'A',
        '\u0000',
        'é',
        '\uD800',
        // The right one but for its upper byte.
        String.fromCharCode(0x100 + tag.charCodeAt(at)),
      ])
        expect(mac.verify('text', `${tag.slice(0, at)}${wrong}${tag.slice(at + 1)}`)).toBe(false)
    }
    const bytes = Buffer.from(tag, 'base64url')
    for (const wrong of [
      '',
      tag.slice(0, -1),
      `${tag}A`,
      `${tag}=`,
      bytes.toString('base64'),
      bytes.toString('hex'),
      bytes.toString('latin1'),
    ])
      expect(mac.verify('text', wrong)).toBe(false)
    // Four characters end in these four bits' worth of bytes; one of them is the tag.
    const last = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    expect([...last].filter((end) => mac.verify('text', tag.slice(0, -1) + end))).toEqual([tag.at(-1)])
  })

  it('is of one key and one text', () => {
    const [one, other] = [new Mac('a'.repeat(43)), new Mac(`${'a'.repeat(42)}b`)]
    expect(other.verify('text', one.tag('text'))).toBe(false)
    expect(one.verify('Text', one.tag('text'))).toBe(false)
    expect(one.verify('text', one.tag('text'))).toBe(true)
  })
})
