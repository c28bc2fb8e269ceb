import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseObject } from './strict-json.ts'

interface Scan {
  at: number
  duplicate: boolean
  forbidden: boolean
  needsEscape: boolean
}

/**
 * A second opinion: reads JSON text by hand, with a set of names for each object. `JSON.parse` is none, since it
 * mistakes names with escapes (nodejs/node#63785).
 */
function scanValue(text: string, scan: Scan): unknown {
  const skip = (): void => {
    while (/\s/.test(text[scan.at] ?? '')) scan.at++
  }
  const readString = (): string => {
    const from = scan.at++
    while (text[scan.at] !== '"') scan.at += text[scan.at] === '\\' ? 2 : 1
    return JSON.parse(text.slice(from, ++scan.at)) as string
  }
  skip()
  const open = text[scan.at]
  let value: unknown
  if (open === '"') {
    value = readString()
  } else if (open === '{') {
    const members = new Map<string, unknown>()
    scan.at++
    skip()
    while (text[scan.at] !== '}') {
      skip()
      const name = readString()
      if (members.has(name)) scan.duplicate = true
      if (name === '__proto__') scan.forbidden = true
      if (JSON.stringify(name).includes('\\')) scan.needsEscape = true
      skip()
      scan.at++
      members.set(name, scanValue(text, scan))
      if (text[scan.at] === ',') scan.at++
    }
    scan.at++
    value = Object.fromEntries(members)
  } else if (open === '[') {
    const items: unknown[] = []
    scan.at++
    skip()
    while (text[scan.at] !== ']') {
      items.push(scanValue(text, scan))
      if (text[scan.at] === ',') scan.at++
    }
    scan.at++
    value = items
  } else {
    const from = scan.at
    while (/[^\s,\]}]/.test(text[scan.at] ?? ' ')) scan.at++
    value = JSON.parse(text.slice(from, scan.at))
  }
  skip()
  return value
}

const space = fc.constantFrom('', '', ' ', '\n', '\t ', '\r\n')
const name = fc.oneof(fc.constantFrom('a', 'b', 'exp', '', ':', '"', '\\', '__proto__', 'é'), fc.string({ maxLength: 3 }))
const written = name.chain((text) =>
  fc
    .boolean()
    .map((escaped) =>
      escaped && text !== ''
        ? `"\\u${text.charCodeAt(0).toString(16).padStart(4, '0')}${JSON.stringify(text.slice(1)).slice(1)}`
        : JSON.stringify(text),
    ),
)
const { value } = fc.letrec<{ value: string; object: string; array: string }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.oneof(written, fc.constantFrom('1', '-0.5e3', 'true', 'null', '{}', '[]')),
    tie('object'),
    tie('array'),
  ),
  object: fc
    .array(fc.tuple(space, written, space, space, tie('value'), space), { maxLength: 4 })
    .map((members) => `{${members.map(([a, key, b, c, item, d]) => `${a}${key}${b}:${c}${item}${d}`).join(',')}}`),
  array: fc
    .array(fc.tuple(space, tie('value'), space), { maxLength: 4 })
    .map((items) => `[${items.map((parts) => parts.join('')).join(',')}]`),
}))
const objects = fc
  .array(fc.tuple(space, written, space, value), { maxLength: 5 })
  .map((members) => `{${members.map(([a, key, b, item]) => `${a}${key}${b}:${item}`).join(',')}}`)

describe('strict JSON', () => {
  it('finds a member that stands twice wherever it is, and nowhere else', () => {
    let duplicates = 0
    fc.assert(
      fc.property(objects, (text) => {
        const scan: Scan = { at: 0, duplicate: false, forbidden: false, needsEscape: false }
        const expected = scanValue(text, scan)
        const result = parseObject(text)
        if (scan.needsEscape) expect(result).toMatch(/^ERR_JWT_(JSON|MEMBER_FORBIDDEN|MEMBER_DUPLICATE)$/)
        else if (scan.forbidden) expect(result).toMatch(/FORBIDDEN|DUPLICATE/)
        else if (scan.duplicate) {
          duplicates++
          expect(result).toBe('ERR_JWT_MEMBER_DUPLICATE')
        } else expect(result).toEqual(expected)
      }),
      { numRuns: 10_000 },
    )
    expect(duplicates).toBeGreaterThan(100)
  })

  it('reads a name rightly, whatever was read before', () => {
    for (const taught of ['https:\\\\/\\\\/x.example\\\\/ro', '\\\\', '\\\\u00']) {
      for (let time = 0; time < 5; time++) parseObject(`{"iss":"b","${taught}":1}`)
    }
    expect(parseObject('{"iss":"a","https:\\/\\/x.example\\/roles":1}')).toEqual({ iss: 'a', 'https://x.example/roles': 1 })
    expect(parseObject('{"iss":"a","\\u0065xp":1}')).toEqual({ iss: 'a', exp: 1 })
    expect(parseObject('{"iss":"a","\\u0069ss":1}')).toBe('ERR_JWT_MEMBER_DUPLICATE')
  })

  it('is what JSON.parse gives, for any object that JSON.stringify wrote', () => {
    fc.assert(
      fc.property(
        fc.dictionary(
          fc.string().filter((key) => key !== '__proto__'),
          fc.jsonValue({ maxDepth: 3 }),
        ),
        (object) => {
          const text = JSON.stringify(object)
          fc.pre(!text.includes('\\') && !text.includes('__proto__'))
          expect(parseObject(text)).toEqual(JSON.parse(text))
        },
      ),
    )
  })
})
