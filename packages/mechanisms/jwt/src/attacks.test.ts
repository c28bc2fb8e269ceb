import { createSecretKey, generateKeyPairSync, sign } from 'node:crypto'
import { secret } from '@portcullis/core'
import fc from 'fast-check'
import { exportJWK } from 'jose'
import { describe, expect, it } from 'vitest'
import { decodeUnverified } from './decode.ts'
import { audience, b64, ed25519, forge, goodClaims, issuer, newClock, otherRsa, p256, rsa, start } from './fixtures.test-support.ts'
import { jwtErrorCodes } from './errors.ts'
import type { KeysOption } from './key-options.ts'
import { createVerifier, type VerifierOptions } from './verify.ts'

const clock = newClock()
const by = (keys: KeysOption): VerifierOptions => ({ issuer, audience, keys, clock })
const options = by({ publicKey: rsa.publicKey })
const verifier = createVerifier(options)
const rs256 = { alg: 'RS256' }
const good = forge(rs256, goodClaims(), rsa.privateKey)
const [goodHeader, goodPayload, goodSignature] = good.split('.') as [string, string, string]

async function outcome(token: string, asked: VerifierOptions = options): Promise<string> {
  const result = await (asked === options ? verifier : createVerifier(asked)).verify(token)
  return 'refused' in result ? result.refused : 'accepted'
}

/** A token whose header is this text, well signed. */
async function withHeader(header: string | object): Promise<string> {
  return outcome(forge(header, goodClaims(), rsa.privateKey))
}

/** A token whose payload are these bytes, well signed. */
async function withPayload(payload: string | Uint8Array): Promise<string> {
  return outcome(forge(rs256, payload, rsa.privateKey))
}

const claimsText = JSON.stringify(goodClaims())
const withMembers = (text: string): string => `${claimsText.slice(0, -1)},${text}}`

it('the good token is good', async () => {
  expect(await outcome(good)).toBe('accepted')
})

describe('unsigned tokens', () => {
  it.each(['none', 'None', 'NONE', 'nOnE'])('alg %s is never verified', async (alg) => {
    for (const signature of ['', goodSignature, 'AA'])
      expect(await outcome(`${b64({ alg })}.${goodPayload}.${signature}`)).toBe('ERR_JWT_UNSECURED')
    expect(await outcome(`${b64({ alg })}.${goodPayload}`)).toBe('ERR_JWT_MALFORMED')
  })

  it.each([' none', 'none ', 'nonе', '', 'RS256 ', 'rs256', 'HS257', '__proto__', 'constructor', 'toString'])(
    'alg "%s" is none that is known',
    async (alg) => {
      expect(await outcome(`${b64({ alg })}.${goodPayload}.${goodSignature}`)).toBe('ERR_JWT_ALGORITHM_NOT_ALLOWED')
    },
  )

  it('a header without alg, or with one that is no text, is refused', async () => {
    for (const header of [{}, { alg: null }, { alg: ['RS256'] }, { alg: 256 }, { alg: { toString: 'RS256' } }])
      expect(await withHeader(header)).toBe('ERR_JWT_HEADER_INVALID')
  })

  it('a signature that is missing is no signature', async () => {
    expect(await outcome(`${goodHeader}.${goodPayload}.`)).toBe('ERR_JWT_SIGNATURE_INVALID')
  })
})

describe('algorithm confusion', () => {
  const spki = String(rsa.publicKey.export({ type: 'spki', format: 'pem' }))

  it('a public key is no secret, in whatever form it was made one', async () => {
    const der = rsa.publicKey.export({ type: 'spki', format: 'der' })
    const pkcs1 = rsa.publicKey.export({ type: 'pkcs1', format: 'pem' })
    for (const bytes of [spki, spki.trim(), pkcs1, der, JSON.stringify(await exportJWK(rsa.publicKey))]) {
      const token = forge({ alg: 'HS256' }, goodClaims(), createSecretKey(Buffer.from(bytes as string)))
      expect(await outcome(token)).toBe('ERR_JWT_ALGORITHM_NOT_ALLOWED')
    }
  })

  it('a PEM text is not taken as secret, also with white space before it', () => {
    for (const text of [spki, ` \n\t${spki}`, `-----BEGIN CERTIFICATE-----`]) {
      for (const key of [secret(text), Buffer.from(text)]) {
        expect(() => createVerifier(by({ secret: key }))).toThrow(expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }))
      }
    }
    expect(() => createVerifier(by({ secret: rsa.publicKey }))).toThrow(expect.objectContaining({ code: 'ERR_CRYPTO_KEY_WRONG_KIND' }))
    expect(() => createVerifier(by({ secret: 'text' as never }))).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })

  it('a key is bound to its algorithms, also within its family', async () => {
    const data = `${b64({ alg: 'RS512' })}.${goodPayload}`
    const token = `${data}.${sign('sha512', Buffer.from(data), rsa.privateKey).toString('base64url')}`
    expect(await outcome(token)).toBe('ERR_JWT_ALGORITHM_NOT_ALLOWED')
    expect(await outcome(token, by({ publicKey: rsa.publicKey, algorithms: ['RS512'] }))).toBe('accepted')
    expect(
      await outcome(token, {
        issuer,
        audience,
        algorithms: ['RS256'],
        keys: { publicKey: rsa.publicKey, algorithms: ['RS512', 'RS256'] },
        clock,
      }),
    ).toBe('ERR_JWT_ALGORITHM_NOT_ALLOWED')
  })

  it('an algorithm is bound to its curve', () => {
    expect(() => createVerifier(by({ publicKey: p256.publicKey, algorithms: ['ES384'] }))).toThrow(
      expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }),
    )
    expect(() => createVerifier(by({ publicKey: rsa.publicKey, algorithms: ['HS256'] }))).toThrow(
      expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }),
    )
    expect(() => createVerifier(by({ secret: Buffer.alloc(64), algorithms: ['RS256'] }))).toThrow(
      expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }),
    )
  })

  it('a secret is as long as the hash', () => {
    for (const [bytes, algorithm] of [[31, 'HS256'], [47, 'HS384'], [63, 'HS512']] as const) {
      expect(() => createVerifier(by({ secret: Buffer.alloc(bytes, 7), algorithms: [algorithm] }))).toThrow(expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }))
      expect(() => createVerifier(by({ secret: Buffer.alloc(bytes + 1, 7), algorithms: [algorithm] }))).not.toThrow()
    }
  }) // prettier-ignore

  it('an RSA key of 1024 bits is refused', () => {
    const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 1024 })
    expect(() => createVerifier(by({ publicKey }))).toThrow(expect.objectContaining({ code: 'ERR_CRYPTO_KEY_WEAK' }))
  })

  it('a private key is not taken to verify', () => {
    expect(() => createVerifier(by({ publicKey: rsa.privateKey }))).toThrow(expect.objectContaining({ code: 'ERR_CRYPTO_KEY_WRONG_KIND' }))
  })
})

describe('keys that the token brings along', () => {
  it('are not used', async () => {
    const jwk = await exportJWK(otherRsa.publicKey)
    for (const header of [
      { alg: 'RS256', jwk },
      { alg: 'RS256', jku: 'https://evil.example/jwks' },
      { alg: 'RS256', x5u: 'file:///etc/passwd' },
      { alg: 'RS256', x5c: ['MIIB'] },
      { alg: 'RS256', kid: '../../../../dev/null' },
      { alg: 'RS256', kid: "x' UNION SELECT 'key" },
    ]) {
      expect(await outcome(forge(header, goodClaims(), otherRsa.privateKey))).toBe('ERR_JWT_SIGNATURE_INVALID')
    }
  })

  it.each(['__proto__', 'constructor', 'toString', '', '../key', 'http://evil.example'])('kid "%s" finds nothing in a set', async (kid) => {
    const keys = {
      jwks: {
        keys: [
          { ...(await exportJWK(rsa.publicKey)), kid: 'one' },
          { ...(await exportJWK(otherRsa.publicKey)), kid: 'two' },
        ],
      },
    }
    expect(await outcome(forge({ alg: 'RS256', kid }, goodClaims(), rsa.privateKey), by(keys))).toBe('ERR_JWT_KEY_UNKNOWN')
    expect(await outcome(forge({ alg: 'RS256', kid: 'one' }, goodClaims(), rsa.privateKey), by(keys))).toBe('accepted')
    expect(await outcome(forge({ alg: 'RS256', kid: 'two' }, goodClaims(), rsa.privateKey), by(keys))).toBe('ERR_JWT_SIGNATURE_INVALID')
    expect(await outcome(good, by(keys))).toBe('ERR_JWT_KEY_AMBIGUOUS')
  })

  it('kid must be text', async () => {
    for (const kid of [1, null, ['one'], { one: 1 }]) expect(await withHeader({ alg: 'RS256', kid })).toBe('ERR_JWT_HEADER_INVALID')
    for (const typ of [1, null, []]) expect(await withHeader({ alg: 'RS256', typ })).toBe('ERR_JWT_HEADER_INVALID')
    expect(await withHeader({ alg: 'RS256', cty: 1 })).toBe('ERR_JWT_HEADER_INVALID')
  })
})

describe('ECDSA signatures', () => {
  const keys = { publicKey: p256.publicKey }
  const text = `${b64({ alg: 'ES256' })}.${goodPayload}`
  const real = sign('sha256', Buffer.from(text), { key: p256.privateKey, dsaEncoding: 'ieee-p1363' })
  const order = Buffer.from('ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551', 'hex')
  const judge = async (signature: Uint8Array): Promise<string> => outcome(`${text}.${b64(signature)}`, by(keys))

  it('of zeros, of the order, of other lengths and in DER are refused', async () => {
    expect(await judge(real)).toBe('accepted')
    for (const signature of [
      Buffer.alloc(64),
      Buffer.concat([real.subarray(0, 32), Buffer.alloc(32)]),
      Buffer.concat([Buffer.alloc(32), real.subarray(32)]),
      Buffer.concat([order, order]),
      Buffer.concat([real.subarray(0, 32), order]),
      Buffer.alloc(64, 0xff),
      real.subarray(0, 63),
      Buffer.concat([real, Buffer.alloc(2)]),
      Buffer.concat([Buffer.alloc(1), real.subarray(0, 32), Buffer.alloc(1), real.subarray(32)]),
      sign('sha256', Buffer.from(text), p256.privateKey),
      Buffer.alloc(0),
    ]) {
      expect(await judge(signature)).toBe('ERR_JWT_SIGNATURE_INVALID')
    }
  })
})

describe('the text of a token', () => {
  it('is three parts', async () => {
    for (const text of ['', '.', '..', '...', 'a', 'a.b', `${good}.`, `${good}.x`, `.${good}`, `${goodHeader}.${goodPayload}`]) {
      expect(await outcome(text)).toMatch(/^ERR_JWT_(MALFORMED|BASE64URL)$/)
    }
    expect(await outcome(`.${goodPayload}.${goodSignature}`)).toBe('ERR_JWT_MALFORMED')
    expect(await outcome(`${goodHeader}..${goodSignature}`)).toBe('ERR_JWT_MALFORMED')
    for (const value of [undefined, null, 7, {}, Buffer.from(good)]) expect(await outcome(value as never)).toBe('ERR_JWT_MALFORMED')
  })

  it('has no other spelling: no padding, white space, foreign alphabet or trailing bits', async () => {
    const parts = [goodHeader, goodPayload, goodSignature]
    for (let at = 0; at < 3; at++) {
      const part = parts[at]!
      const last = part.at(-1)!
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      const trailing = part.length % 4 === 0 ? [] : [part.slice(0, -1) + alphabet[alphabet.indexOf(last) ^ 1]!]
      const spellings = [
        `${part}=`,
        `${part}==`,
        ` ${part}`,
        `${part} `,
        `${part}\n`,
        `${part}\0`,
        `${part.slice(0, 4)}\n${part.slice(4)}`,
        part.replaceAll('-', '+').replaceAll('_', '/'),
        `${part}A`,
        `ŀ${part}`,
        ...trailing,
      ]
      for (const spelling of spellings.filter((one) => one !== part)) {
        const text = parts.map((one, index) => (index === at ? spelling : one)).join('.')
        expect(await outcome(text), JSON.stringify(spelling.slice(-6))).toMatch(
          /^[\w-]*$/.test(spelling) && Buffer.from(spelling, 'base64url').toString('base64url') === spelling
            ? /JSON|SIGNATURE/
            : /BASE64URL/,
        )
      }
    }
  })

  it('has no wide characters that decode to the same bytes', async () => {
    const wide = [...goodPayload].map((char, at) => (at === 3 ? String.fromCharCode(char.charCodeAt(0) + 0x100) : char)).join('')
    expect(await outcome(`${goodHeader}.${wide}.${goodSignature}`)).toBe('ERR_JWT_BASE64URL')
  })

  it('ends somewhere', async () => {
    expect(await outcome(forge(rs256, goodClaims({ pad: 'x'.repeat(20_000) }), rsa.privateKey))).toBe('ERR_JWT_TOO_LARGE')
    expect(await outcome('.'.repeat(1_000_000))).toBe('ERR_JWT_TOO_LARGE')
  })
})

describe('JSON', () => {
  it('is an object', async () => {
    for (const text of [
      '',
      'x',
      '[]',
      'null',
      '"text"',
      '7',
      'true',
      '{',
      '{}x',
      '{"a":1,}',
      `\u{feff}${claimsText}`,
      `${claimsText}\0`,
      "{'a':1}",
      '{"a":01}',
      'NaN',
    ]) {
      expect(await withPayload(text)).toMatch(/^ERR_JWT_(JSON|MALFORMED)$/)
      if (text !== '') expect(await withHeader(text)).toBe('ERR_JWT_JSON')
    }
    expect(await withPayload(` \n\t${claimsText} \r\n`)).toBe('accepted')
  })

  it('is UTF-8', async () => {
    for (const bytes of [[0xff], [0xc3, 0x28], [0xed, 0xa0, 0x80], [0xf0, 0x9f, 0x98], [0xc0, 0xaf]]) {
      const payload = Buffer.concat([Buffer.from(`${claimsText.slice(0, -1)},"x":"`), Buffer.from(bytes), Buffer.from('"}')])
      expect(await withPayload(payload)).toBe('ERR_JWT_UTF8')
    }
    expect(await withPayload(withMembers('"x":"\u{fffd} é 😀"'))).toBe('accepted')
    expect(await withPayload(withMembers('"x":"\\ud83d\\ude00"'))).toBe('accepted')
    expect(await withPayload(withMembers('"x":"\\ud83d"'))).toBe('ERR_JWT_UTF8')
    expect(await withPayload(withMembers('"x":[{"\\ude00":1}]'))).toBe('ERR_JWT_JSON')
  })

  it('has no member twice', async () => {
    for (const text of [
      '"exp":1',
      `"exp":${start + 9e6}`,
      '"\\u0065xp":1',
      '"x":{"a":1,"a":1}',
      '"x":[[{"a":1,"b":{},"a":2}]]',
      '"sub" \n:"eve"',
      '"":1,"":2',
    ]) {
      expect(await withPayload(withMembers(text)), text).toBe('ERR_JWT_MEMBER_DUPLICATE')
    }
    expect(await withHeader('{"alg":"RS256","alg":"none"}')).toBe('ERR_JWT_MEMBER_DUPLICATE')
    for (const text of ['"x":"a\\":b"', '"x":"\\\\","y":":"', '"x":["a:","b"]', '"x":{"exp":1}', '"a":{"b":1},"c":{"b":1}']) {
      expect(await withPayload(withMembers(text)), text).toBe('accepted')
    }
  })

  it('has no __proto__', async () => {
    for (const text of ['"__proto__":{"admin":true}', '"\\u005f_proto__":1', '"x":{"__proto__":[]}', '"x":[{"__proto__":null}]']) {
      expect(await withPayload(withMembers(text)), text).toBe('ERR_JWT_MEMBER_FORBIDDEN')
    }
    expect(({} as { admin?: boolean }).admin).toBeUndefined()
  })

  it('is not nested without end', async () => {
    const nest = (depth: number, open: string, close: string): string => withMembers(`"x":${open.repeat(depth)}${close.repeat(depth)}`)
    expect(await withPayload(nest(31, '[', ']'))).toBe('accepted')
    expect(await withPayload(nest(32, '[', ']'))).toBe('ERR_JWT_TOO_DEEP')
    expect(await withPayload(nest(4_000, '[', ']'))).toBe('ERR_JWT_TOO_DEEP')
    expect(await withPayload(withMembers(`"x":${'{"a":'.repeat(1_500)}1${'}'.repeat(1_500)}`))).toBe('ERR_JWT_TOO_DEEP')
  })

  it('cannot speak for us by its members', async () => {
    const result = await verifier.verify(
      forge({ alg: 'RS256', refused: 'x' }, goodClaims({ refused: 'ERR_JWT_EXPIRED', then: 1 }), rsa.privateKey),
    )
    expect(result).toMatchObject({ claims: { refused: 'ERR_JWT_EXPIRED' } })
    expect(await outcome(forge({ alg: 'RS256', refused: 'x' }, goodClaims({ refused: 'x', exp: start }), rsa.privateKey))).toBe(
      'ERR_JWT_EXPIRED',
    )
  })
})

describe('critical extensions', () => {
  it.each([[[]], ['b64'], [['exp']], [['b64']], [['alg']], [['b64', 'b64']], [[1]], [null], [{ b64: true }], [['b64', 'x']]])(
    'crit %j is refused',
    async (crit) => {
      expect(await withHeader({ alg: 'RS256', crit, exp: 1, x: 1 })).toBe('ERR_JWT_CRITICAL_UNKNOWN')
    },
  )

  it('crit names nothing twice, though it is understood', async () => {
    expect(await withHeader({ alg: 'RS256', crit: ['b64', 'b64'], b64: true })).toBe('ERR_JWT_CRITICAL_UNKNOWN')
  })

  it('b64 is understood, and never false', async () => {
    expect(await withHeader({ alg: 'RS256', crit: ['b64'], b64: true })).toBe('accepted')
    for (const b64Value of [false, 'true', 0, null]) {
      expect(await withHeader({ alg: 'RS256', crit: ['b64'], b64: b64Value })).toBe('ERR_JWT_PAYLOAD_UNENCODED')
      expect(await withHeader({ alg: 'RS256', b64: b64Value })).toBe('ERR_JWT_PAYLOAD_UNENCODED')
    }
  })
})

describe('whatever comes', () => {
  const answers = (value: unknown): boolean =>
    typeof value === 'object' &&
    value !== null &&
    ('claims' in value || Object.hasOwn(jwtErrorCodes, (value as { refused: string }).refused))

  it('is answered by a code of ours, never by an exception', async () => {
    const part = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.base64String(),
      fc.json().map((text) => b64(text)),
      fc.uint8Array().map((bytes) => b64(bytes)),
      fc.constantFrom(goodHeader, goodPayload, goodSignature, ''),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 5 }), async (parts) => {
        const text = parts.join('.')
        expect(answers(await verifier.verify(text))).toBe(true)
        try {
          decodeUnverified(text)
        } catch (error) {
          expect(error).toMatchObject({ family: 'authentication', code: expect.stringMatching(/^ERR_JWT_/) })
        }
      }),
      { numRuns: 2_000 },
    )
  })

  it('is refused, if a good token was changed anywhere', async () => {
    const ed = createVerifier({ ...by({ publicKey: ed25519.publicKey }), verifyOn: 'eventLoop' })
    const token = forge({ alg: 'EdDSA' }, goodClaims(), ed25519.privateKey)
    expect(await ed.verify(token)).toMatchObject({ claims: {} })
    await fc.assert(
      fc.asyncProperty(fc.nat(token.length - 1), fc.integer({ min: 0, max: 0x17f }), async (at, code) => {
        const changed = `${token.slice(0, at)}${String.fromCharCode(code)}${token.slice(at + 1)}`
        if (changed !== token) expect(await ed.verify(changed)).toHaveProperty('refused')
      }),
      { numRuns: 2_000 },
    )
  })

  it('is refused as claims of any type, or they are as they should be', async () => {
    const hs = createSecretKey(Buffer.alloc(32, 1))
    const loop = createVerifier(by({ secret: hs }))
    const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.double(), fc.constantFrom(issuer, audience, start, start + 1))
    const claims = fc.record({ iss: value, aud: value, exp: value, nbf: value, iat: value, sub: value, jti: value }, { requiredKeys: [] })
    await fc.assert(
      fc.asyncProperty(claims, fc.boolean(), async (some, isMixed) => {
        const result = await loop.verify(forge({ alg: 'HS256' }, isMixed ? goodClaims(some) : some, hs))
        expect(answers(result)).toBe(true)
        if ('refused' in result) return
        expect(result.claims.iss).toBe(issuer)
        expect([result.claims.aud].flat()).toContain(audience)
        expect(result.claims.exp).toBeGreaterThan(start)
        expect(result.claims.nbf ?? 0).toBeLessThanOrEqual(start)
      }),
      { numRuns: 3_000 },
    )
  })
})
