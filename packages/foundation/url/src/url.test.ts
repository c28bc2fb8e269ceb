import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { decode, encode, UrlError, type Charset, type UrlErrorCode } from './index.ts'

const charsets: readonly Charset[] = ['utf-8', 'utf-16', 'utf-16be', 'utf-16le', 'iso-8859-1', 'us-ascii']

function refusal(code: UrlErrorCode, work: () => unknown): UrlError {
  try {
    work()
  } catch (error) {
    expect(error).toBeInstanceOf(UrlError)
    expect((error as UrlError).code).toBe(code)
    return error as UrlError
  }
  throw new Error(`Nothing was thrown, and ${code} was expected.`)
}

describe('encode', () => {
  // The bytes are those that Java's URLEncoder writes, but for the characters where RFC 3986 differs: `~`, `*` and space.
  test.each<[string, Charset, string]>([
    ['data=value', 'UTF-8', 'data%3Dvalue'],
    ['http://localhost:9090/a b', 'utf-8', 'http%3A%2F%2Flocalhost%3A9090%2Fa%20b'],
    ['AZaz09-._~', 'utf-8', 'AZaz09-._~'],
    ['*+%', 'utf-8', '%2A%2B%25'],
    ['aüb/😀', 'utf-8', 'a%C3%BCb%2F%F0%9F%98%80'],
    ['aüb', 'utf-16', 'a%FE%FF%00%FCb'],
    ['é/😀', 'utf-16be', '%00%E9%00%2F%D8%3D%DE%00'],
    ['é/😀', 'UTF-16LE', '%E9%00%2F%00%3D%D8%00%DE'],
    ['aüb é', 'iso-8859-1', 'a%FCb%20%E9'],
    ['a b', 'us-ascii', 'a%20b'],
    ['', 'utf-8', ''],
  ])('%s in %s', (value, charset, expected) => {
    expect(encode(value, charset)).toBe(expected)
    expect(decode(expected, charset)).toBe(value)
  })

  test('UTF-8 without saying so', () => {
    expect(encode('ü')).toBe('%C3%BC')
    expect(decode('%c3%bc')).toBe('ü')
  })

  test('what a charset does not have is never replaced', () => {
    refusal('ERR_URL_UNENCODABLE', () => encode('€', 'iso-8859-1'))
    refusal('ERR_URL_UNENCODABLE', () => encode('ü', 'us-ascii'))
    for (const charset of charsets) {
      refusal('ERR_URL_UNENCODABLE', () => encode('\ud83d', charset))
      refusal('ERR_URL_UNENCODABLE', () => encode('a\ude00', charset))
    }
  })
})

describe('decode', () => {
  test('what stands for itself', () => {
    expect(decode("!$&'()*+,;=:/?#[]@-._~azAZ09")).toBe("!$&'()*+,;=:/?#[]@-._~azAZ09")
    expect(decode('a+b')).toBe('a+b')
    expect(decode('%2525')).toBe('%25')
    expect(decode('%00')).toBe('\0')
  })

  test.each([
    '%',
    '%4',
    'a%',
    '%g0',
    '%0g',
    '%%41',
    '%u0041',
    '% 41',
    '%-1',
    '%+1',
    'a b',
    ' ',
    'a\n',
    '\n',
    '\0',
    '\u007f',
    'ü',
    '😀',
    '%41\n',
    '%4\u0661',
  ])('malformed: %j', (value) => {
    for (const charset of charsets) {
      const error = refusal('ERR_URL_MALFORMED', () => decode(value, charset))
      expect(error.family).toBe('authentication')
    }
  })

  test.each<[string, Charset]>([
    ['%FC', 'utf-8'],
    ['%C0%AF', 'utf-8'],
    ['%E0%80%AF', 'utf-8'],
    ['%ED%A0%80', 'utf-8'],
    ['%F4%90%80%80', 'utf-8'],
    ['%C3', 'utf-8'],
    ['%C3a%BC', 'utf-8'],
    ['%00', 'utf-16'],
    ['%D8%3D', 'utf-16be'],
    ['%3D%D8', 'utf-16le'],
    ['%FE%FF%DC%00', 'utf-16'],
    ['%80', 'us-ascii'],
  ])('no text: %s in %s', (value, charset) => {
    refusal('ERR_URL_UNDECODABLE', () => decode(value, charset))
  })

  test('Latin-1 is Latin-1, not windows-1252', () => {
    expect(decode('%80%9F%A4', 'iso-8859-1')).toBe('\u0080\u009f¤')
  })

  test('a byte order mark', () => {
    expect(decode('%FF%FE%FC%00', 'utf-16')).toBe('ü')
    expect(decode('%FE%FF%00%FC', 'utf-16')).toBe('ü')
    expect(decode('%00%FC', 'utf-16')).toBe('ü')
    expect(decode('%EF%BB%BFa')).toBe('\ufeffa')
    expect(decode(encode('\ufeffa', 'utf-16'), 'utf-16')).toBe('\ufeffa')
  })
})

test('every well-formed text comes back, and UTF-8 agrees with the runtime', () => {
  const text = fc.string({ unit: 'binary' })
  fc.assert(
    fc.property(text, (value) => {
      for (const charset of ['utf-8', 'utf-16', 'utf-16be', 'utf-16le'] as const)
        expect(decode(encode(value, charset), charset)).toBe(value)
      expect(decodeURIComponent(encode(value))).toBe(value)
      expect(decode(encodeURIComponent(value))).toBe(value)
    }),
  )
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      const value = Buffer.from(bytes).toString('latin1')
      expect(decode(encode(value, 'iso-8859-1'), 'iso-8859-1')).toBe(value)
    }),
  )
})

test('charsets that are none', () => {
  for (const charset of ['', 'utf8', 'latin1', 'UTF-7', '__proto__', null, 7]) {
    expect(refusal('ERR_URL_CHARSET_UNKNOWN', () => encode('a', charset as never)).family).toBe('configuration')
    refusal('ERR_URL_CHARSET_UNKNOWN', () => decode('a', charset as never))
  }
})

test('what is no text, or too much', () => {
  for (const value of [undefined, null, 7, {}, ['a']]) {
    refusal('ERR_URL_NOT_TEXT', () => encode(value as never))
    refusal('ERR_URL_NOT_TEXT', () => decode(value as never))
  }
  for (const charset of charsets)
    expect(decode('%41%00'.repeat(100_000), charset)).toHaveLength(charset.startsWith('utf-16') ? 100_000 : 200_000)
  refusal('ERR_URL_TOO_LONG', () => encode('a'.repeat(1_048_577)))
  refusal('ERR_URL_TOO_LONG', () => decode('a'.repeat(1_048_577)))
})

test('errors carry the brand and not the text', () => {
  const error = refusal('ERR_URL_MALFORMED', () => decode('secret%'))
  expect((error as unknown as Record<symbol, unknown>)[Symbol.for('portcullis.error')]).toBe(true)
  expect(`${error.message} ${error.publicMessage}`).not.toContain('secret')
})
