import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatAuthorization, formatChallenges, maxAuthorizationLength, parseAuthorization, parseChallenges, secret } from './index.ts'

const basic = (text: string | Uint8Array): string => `Basic ${Buffer.from(text as string).toString('base64')}`

describe('parseAuthorization', () => {
  it('reads Basic (RFC 7617): UTF-8, colons in the password, any case of the scheme', () => {
    expect(parseAuthorization('Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==')).toMatchObject({ kind: 'basic', username: 'Aladdin' })
    const read = parseAuthorization(basic('tëst:p:ä:ss'))
    expect(read.kind === 'basic' && [read.username, read.password.reveal()]).toEqual(['tëst', 'p:ä:ss'])
    for (const scheme of ['basic', 'BASIC', 'bAsIc'])
      expect(parseAuthorization(`${scheme} QWxhZGRpbjpvcGVuIHNlc2FtZQ==`).kind).toBe('basic')
    expect(parseAuthorization('Basic dGVzdDoxMjPCow==')).toMatchObject({ kind: 'basic', username: 'test' })
  })

  it('reads Bearer, DPoP with its proof, and other schemes', () => {
    const bearer = parseAuthorization('bearer mF_9.B5f-4.1JqM')
    expect(bearer.kind === 'bearer' && bearer.token.reveal()).toBe('mF_9.B5f-4.1JqM')
    expect(parseAuthorization('DPoP abc', 'proof')).toMatchObject({ kind: 'dpop', proof: 'proof' })
    expect(parseAuthorization('ApiKey k=v')).toMatchObject({ kind: 'scheme', scheme: 'apikey' })
  })

  it.each([
    ['nothing', ''],
    ['no scheme', ' abc'],
    ['a scheme with a colon', 'Be:arer abc'],
    ['no token', 'Bearer'],
    ['an empty token', 'Bearer '],
    ['two tokens', 'Bearer a b'],
    ['a list', 'Bearer a, Basic b'],
    ['a token in quotes', 'Bearer "a"'],
    ['a token with a line end', 'Bearer a\r\nx'],
    ['DPoP without a proof', 'DPoP abc'],
    ['Basic without a colon', basic('alice')],
    ['Basic without a user', basic(':secret')],
    ['Basic that is not base64', 'Basic %%%'],
    ['Basic with trailing bits', 'Basic YTpiYh=='],
    ['Basic that is not UTF-8', basic(Buffer.from([0x61, 0x3a, 0xff]))],
    ['Basic with a control character', basic('a\u0000:b')],
    ['a value too long', `Bearer ${'a'.repeat(maxAuthorizationLength)}`],
  ])('calls %s malformed', (_, value) => {
    const read = parseAuthorization(value)
    expect(read.kind).toBe('malformed')
    expect(JSON.stringify(read)).not.toContain('secret')
  })

  it('never throws, and never reveals', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.string().map((text) => `Basic ${text}`),
          fc.string().map((text) => `Bearer ${text}`),
        ),
        (value) => {
          expect(typeof parseAuthorization(value).kind).toBe('string')
        },
      ),
      { numRuns: 1_000 },
    )
  })

  it('comes back as it was written', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !/[:\p{Cc}]/u.test(text) && text.isWellFormed()),
        fc.string({ unit: 'grapheme' }).filter((text) => !/\p{Cc}/u.test(text) && text.isWellFormed()),
        (username, password) => {
          const read = parseAuthorization(
            formatAuthorization({ kind: 'basic', carrier: 'authorization', username, password: secret(password) }) ?? '',
          )
          expect(read.kind === 'basic' && [read.username, read.password.reveal()]).toEqual([username, password])
        },
      ),
    )
  })
})

describe('challenges', () => {
  const offers = [
    { scheme: 'Bearer', parameters: { realm: 'orders' } },
    { scheme: 'Basic', parameters: { realm: 'or"ders\r\nX: y' } },
    { scheme: '' },
  ]

  it('say an error only for what was presented (RFC 6750 section 3.1), and never break out of their field', () => {
    expect(formatChallenges(offers, 'missing')).toEqual(['Bearer realm="orders"', 'Basic realm="or\\"ders??X: y"'])
    expect(formatChallenges(offers, 'invalid')[0]).toBe('Bearer realm="orders", error="invalid_token"')
    expect(formatChallenges(offers, 'insufficientScope', { scopes: ['a', 'b'] })[0]).toBe(
      'Bearer realm="orders", error="insufficient_scope", scope="a b"',
    )
    expect(formatChallenges([{ scheme: 'DPoP' }], 'stepUp', { acrValues: ['urn:x'], maxAgeSeconds: 5 })).toEqual([
      'DPoP error="insufficient_user_authentication", acr_values="urn:x", max_age="5"',
    ])
    expect(formatChallenges([{ scheme: 'Bearer' }, { scheme: 'DPoP' }], 'invalid', { error: 'use_dpop_nonce' })).toEqual([
      'Bearer',
      'DPoP error="use_dpop_nonce"',
    ])
    expect(formatChallenges([{ scheme: 'Bearer' }], 'invalid', { error: 'other' })).toEqual(['Bearer error="other"'])
    expect(formatChallenges(offers, 'invalid').join(' ')).not.toContain('\n')
  })

  it('are read back, also several in one field', () => {
    const read = parseChallenges('Bearer realm="a, b=\\"c\\"", error=invalid_token, Negotiate, Basic realm="x", Custom abc==')
    expect(read.map((challenge) => challenge.scheme)).toEqual(['bearer', 'negotiate', 'basic', 'custom'])
    expect(read[0]?.parameters.get('realm')).toBe('a, b="c"')
    expect(read[0]?.parameters.get('error')).toBe('invalid_token')
    for (const reason of ['missing', 'invalid'] as const)
      expect(parseChallenges(formatChallenges(offers, reason).join(', ')).map((challenge) => challenge.scheme)).toEqual(['bearer', 'basic'])
  })

  it('are read in bounded time and number, whatever is sent', () => {
    expect(parseChallenges('a,'.repeat(10_000)).length).toBeLessThan(64)
    fc.assert(fc.property(fc.string(), (text) => void parseChallenges(text)))
  })
})
