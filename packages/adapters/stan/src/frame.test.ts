import { describe, expect, it } from 'vitest'
import { frame, unframe } from './index.ts'

const content = Buffer.from([0, 255, 13, 10, 13, 10, 1])

describe('a frame', () => {
  it.each([
    [[]],
    [[['a', 'b']]],
    [
      [
        ['a', ''],
        ['a', 'grüße: x'],
        ['Nats-Msg-Id', '1'],
      ],
    ],
  ] as [readonly [string, string]][][])('gives back what was put in: %j', (headers) => {
    for (const inner of [content, Buffer.alloc(0), frame(headers, content)])
      expect(unframe(frame(headers, inner))).toEqual({ kind: 'framed', headers, content: inner })
  })

  it.each([
    '',
    '{"a":1}',
    'NATS/1.0\r\nportcullis-identity: x\r\n\r\n',
    '\u00ffNATS/1.0\r\nportcullis-identity: x\r\n\r\n',
    '\uffff',
    '\ufeffNATS/1.0\r\n\r\n',
  ])('is nothing that a text could be: %j', (text) => {
    expect(unframe(Buffer.from(text))).toEqual({ kind: 'bare' })
    expect(unframe(Buffer.from(`\ufeff${text}`, 'utf16le'))).toEqual({ kind: 'bare' })
  })

  it.each([
    'a: b',
    'a: b\r\n',
    'a b: c\r\n\r\n',
    ': b\r\n\r\n',
    'a:b\r\n\r\n',
    'no colon\r\n\r\n',
    'a: b\nc: d\r\n\r\n',
    `a: ${'b'.repeat(70_000)}\r\n\r\n`,
  ])('that is broken is no bare payload: %j', (block) => {
    expect(unframe(Buffer.from(`\xffNATS/1.0\r\n${block}`, 'latin1'))).toEqual({ kind: 'broken' })
  })

  it.each([
    ['a', 'b\r\nportcullis-identity: c'],
    ['a', 'b\n'],
    ['a', '\r'],
    ['a: b\r\nc', 'd'],
    ['a:', 'b'],
    ['a b', 'c'],
    ['', 'b'],
    ['\u00e4', 'b'],
    ['a', 'b'.repeat(65_536)],
  ])('is not made of a header that would be read as another: %j', (name, value) => {
    expect(() => frame([[name, value]], content)).toThrow(expect.objectContaining({ code: 'ERR_STAN_MESSAGE' }))
  })

  it('is read whatever it was made of, up to the most that it takes', () => {
    const most: [string, string][] = [['a', 'b'.repeat(65_536 - 'a: \r\n\r\n'.length)]]
    expect(unframe(frame(most, content))).toEqual({ kind: 'framed', headers: most, content })
    expect(() => frame([...most, ['c', '']], content)).toThrow(expect.objectContaining({ code: 'ERR_STAN_MESSAGE' }))
  })
})
