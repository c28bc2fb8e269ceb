import { createSecretKey, randomBytes } from 'node:crypto'
import { secret } from '@portcullis/core'
import { compactVerify, exportJWK, jwtVerify, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { algorithms, type Algorithm } from './algorithms.ts'
import { anyAudience, withoutExpiry } from './danger.ts'
import {
  audience,
  b64,
  ed25519,
  forge,
  goodClaims,
  issuer,
  k256,
  newClock,
  otherRsa,
  p256,
  p384,
  p521,
  rsa,
  start,
} from './fixtures.test-support.ts'
import type { IssuerOptions } from './claims.ts'
import type { SigningKey } from './sign.ts'
import { createIssuer, createSigner } from './sign.ts'
import { createVerifier, verify, type VerifierOptions } from './verify.ts'

const clock = newClock()
const row = { issuer, audience, keys: { publicKey: rsa.publicKey } } as const
const rs256 = { alg: 'RS256', typ: 'JWT' } as const
const good = forge(rs256, goodClaims(), rsa.privateKey)

async function outcome(token: string, options: VerifierOptions = { ...row, clock }): Promise<string> {
  const result = await createVerifier(options).verify(token)
  return 'refused' in result ? result.refused : 'accepted'
}

/** The outcome of a token with these claims under row options. */
async function judged(claims: object | string, options: Partial<IssuerOptions> = {}, header: object = rs256): Promise<string> {
  return outcome(forge(header, claims, rsa.privateKey), { ...row, ...options, clock } as VerifierOptions)
}

describe('every algorithm', () => {
  const shared = secret(randomBytes(64).toString('base64'))
  const keys: Partial<Record<Algorithm, { readonly sign: SigningKey; readonly verify: IssuerOptions['keys'] }>> = {}
  const pairs: Partial<Record<Algorithm, typeof rsa>> = {
    RS256: rsa, RS384: rsa, RS512: rsa, PS256: rsa, PS384: rsa, PS512: rsa,
    ES256: p256, ES384: p384, ES512: p521, ES256K: k256, EdDSA: ed25519, Ed25519: ed25519,
  } // prettier-ignore
  for (const [name, pair] of Object.entries(pairs)) {
    const algorithm = name as Algorithm
    keys[algorithm] = { sign: { privateKey: pair.privateKey, algorithm }, verify: { publicKey: pair.publicKey, algorithms: [algorithm] } }
  }
  for (const algorithm of ['HS256', 'HS384', 'HS512'] as const)
    keys[algorithm] = { sign: { secret: shared, algorithm }, verify: { secret: shared, algorithms: [algorithm] } }

  it('is covered here or where the runtime has ML-DSA', () => {
    expect([...Object.keys(keys), 'ML-DSA-44', 'ML-DSA-65', 'ML-DSA-87'].toSorted()).toEqual([...algorithms].toSorted())
  })

  it.each(Object.keys(keys) as Algorithm[])('%s is issued and verified, on the event loop and off it', async (algorithm) => {
    const { sign, verify: keysOption } = keys[algorithm]!
    const token = await createIssuer({ issuer, key: sign, clock }).issue({ subject: 'ada', audience })
    for (const verifyOn of ['eventLoop', 'threadPool'] as const) {
      const verifier = createVerifier({ issuer, audience, keys: keysOption, clock, verifyOn })
      expect(await verifier.verify(token)).toMatchObject({ claims: { sub: 'ada' }, header: { alg: algorithm } })
      const changed = token.replace(/\.[^.]+\./, `.${b64({ ...goodClaims(), sub: 'eve' })}.`)
      expect(await verifier.verify(changed)).toMatchObject({ refused: 'ERR_JWT_SIGNATURE_INVALID' })
      expect(await verifier.verify(token.slice(0, -4))).toMatchObject({ refused: expect.stringMatching(/SIGNATURE_INVALID|BASE64URL/) })
    }
  })

  it.each((Object.keys(keys) as Algorithm[]).filter((name) => name !== 'ES256K'))(
    '%s is what jose signs and verifies',
    async (algorithm) => {
      const { sign, verify: keysOption } = keys[algorithm]!
      const foreignKey = sign.secret === undefined ? pairs[algorithm]!.privateKey : createSecretKey(Buffer.from(shared.reveal()))
      const publicKey = sign.secret === undefined ? pairs[algorithm]!.publicKey : foreignKey
      const token = await new SignJWT(goodClaims()).setProtectedHeader({ alg: algorithm }).sign(foreignKey)
      expect(await outcome(token, { issuer, audience, keys: keysOption, clock })).toBe('accepted')
      const ours = await createIssuer({ issuer, key: sign, clock }).issue({ subject: 'ada', audience })
      await expect(
        jwtVerify(ours, publicKey, { issuer, audience, algorithms: [algorithm], currentDate: new Date(start * 1000) }),
      ).resolves.toBeDefined()
    },
  )

  it('is sync for a secret and a promise for a public key', () => {
    const hs = createVerifier({ issuer, audience, keys: { secret: shared }, clock })
    expect(hs.verify(forge({ alg: 'HS256' }, goodClaims(), createSecretKey(Buffer.from(shared.reveal()))))).toMatchObject({
      claims: { sub: 'ada' },
    })
    expect(createVerifier({ ...row, clock }).verify(good)).toBeInstanceOf(Promise)
    expect(createVerifier({ ...row, clock, verifyOn: 'eventLoop' }).verify(good)).toMatchObject({ claims: { sub: 'ada' } })
  })
})

describe('claims', () => {
  it('accepts a good token and gives its claims', async () => {
    expect(await verify(good, { ...row, clock })).toMatchObject({ claims: goodClaims(), acceptedUntilMs: (start + 300) * 1000 })
  })

  it.each([
    ['ERR_JWT_EXPIRED', { exp: start }],
    ['accepted', { exp: start + 0.001 }],
    ['ERR_JWT_EXPIRED', { exp: 0 }],
    ['ERR_JWT_CLAIM_MISSING', { exp: undefined }],
    ['ERR_JWT_CLAIM_INVALID', { exp: null }],
    ['ERR_JWT_CLAIM_INVALID', { exp: `${start + 300}` }],
    ['ERR_JWT_CLAIM_INVALID', { exp: (start + 300) * 1000 }],
    ['ERR_JWT_CLAIM_INVALID', { exp: -1 }],
    ['ERR_JWT_CLAIM_INVALID', { exp: [start + 300] }],
    ['ERR_JWT_CLAIM_INVALID', { exp: true }],
    ['ERR_JWT_NOT_YET_VALID', { nbf: start + 1 }],
    ['accepted', { nbf: start }],
    ['ERR_JWT_CLAIM_INVALID', { nbf: 'now' }],
    ['ERR_JWT_CLAIM_INVALID', { nbf: -1 }],
    ['ERR_JWT_CLAIM_INVALID', { iat: {} }],
    ['ERR_JWT_CLAIM_INVALID', { sub: 7 }],
    ['ERR_JWT_CLAIM_INVALID', { jti: {} }],
    ['ERR_JWT_CLAIM_MISSING', { iss: undefined }],
    ['ERR_JWT_CLAIM_INVALID', { iss: [issuer] }],
    ['ERR_JWT_ISSUER_UNKNOWN', { iss: `${issuer}/` }],
    ['ERR_JWT_ISSUER_UNKNOWN', { iss: '' }],
    ['ERR_JWT_ISSUER_UNKNOWN', { iss: '__proto__' }],
    ['ERR_JWT_CLAIM_MISSING', { aud: undefined }],
    ['ERR_JWT_CLAIM_INVALID', { aud: null }],
    ['ERR_JWT_CLAIM_INVALID', { aud: { orders: true } }],
    ['ERR_JWT_CLAIM_INVALID', { aud: [audience, 7] }],
    ['ERR_JWT_AUDIENCE_UNEXPECTED', { aud: [] }],
    ['ERR_JWT_AUDIENCE_UNEXPECTED', { aud: '' }],
    ['ERR_JWT_AUDIENCE_UNEXPECTED', { aud: 'ORDERS' }],
    ['ERR_JWT_AUDIENCE_UNEXPECTED', { aud: ['billing'] }],
    ['accepted', { aud: ['billing', audience] }],
  ])('%s for %j', async (expected, claims) => {
    expect(await judged(goodClaims(claims))).toBe(expected)
  })

  it.each(['1e999', '-1e999', '1e400'])('refuses an exp of %s', async (number) => {
    expect(await judged(`{"iss":"${issuer}","aud":"${audience}","sub":"ada","exp":${number}}`)).toBe('ERR_JWT_CLAIM_INVALID')
  })

  it('refuses a good token once its second has come, and not a millisecond before', async () => {
    const moving = newClock()
    const verifier = createVerifier({ ...row, clock: moving })
    moving.advance(299_999)
    expect(await verifier.verify(good)).toMatchObject({ claims: {} })
    moving.advance(1)
    expect(await verifier.verify(good)).toMatchObject({ refused: 'ERR_JWT_EXPIRED' })
  })

  it('takes clocks that differ as far as it is told', async () => {
    const clockToleranceSeconds = 60
    expect(await judged(goodClaims({ exp: start - 59 }), { clockToleranceSeconds })).toBe('accepted')
    expect(await judged(goodClaims({ exp: start - 60 }), { clockToleranceSeconds })).toBe('ERR_JWT_EXPIRED')
    expect(await judged(goodClaims({ nbf: start + 60 }), { clockToleranceSeconds })).toBe('accepted')
    expect(await judged(goodClaims({ nbf: start + 61 }), { clockToleranceSeconds })).toBe('ERR_JWT_NOT_YET_VALID')
    for (const value of [-1, 301, Number.NaN, Number.POSITIVE_INFINITY]) {
      expect(() => createVerifier({ ...row, clockToleranceSeconds: value })).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION_INVALID' }),
      )
    }
  })

  it('limits the age', async () => {
    expect(await judged(goodClaims({ iat: start - 9 }), { maxAgeSeconds: 10 })).toBe('accepted')
    expect(await judged(goodClaims({ iat: start - 10 }), { maxAgeSeconds: 10 })).toBe('ERR_JWT_TOO_OLD')
    expect(await judged(goodClaims({ iat: start + 1 }), { maxAgeSeconds: 10 })).toBe('ERR_JWT_TOO_OLD')
    expect(await judged(goodClaims({ iat: undefined }), { maxAgeSeconds: 10 })).toBe('ERR_JWT_CLAIM_MISSING')
  })

  it('gives up audience and expiry only by symbol', async () => {
    expect(await judged(goodClaims({ aud: undefined }), { audience: anyAudience })).toBe('accepted')
    expect(await judged(goodClaims({ exp: undefined }), { expiry: withoutExpiry })).toBe('accepted')
    expect(await judged(goodClaims({ exp: start }), { expiry: withoutExpiry })).toBe('ERR_JWT_EXPIRED')
    expect(() => createVerifier({ ...row, expiry: 'never' as never })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })

  it('demands what the matchers say', async () => {
    const claims = {
      sub: ['ada', 'bob'],
      tenant: 7,
      address: { city: 'Paris' },
      roles: (value: unknown) => Array.isArray(value) && value.includes('admin'),
    } as const
    const all = { tenant: 7, address: { city: 'Paris' }, roles: ['admin'] }
    expect(await judged(goodClaims(all), { claims })).toBe('accepted')
    expect(await judged(goodClaims({ ...all, sub: 'eve' }), { claims })).toBe('ERR_JWT_CLAIM_UNEXPECTED')
    expect(await judged(goodClaims({ ...all, tenant: '7' }), { claims })).toBe('ERR_JWT_CLAIM_UNEXPECTED')
    expect(await judged(goodClaims({ ...all, address: { city: 'Paris', street: 1 } }), { claims })).toBe('ERR_JWT_CLAIM_UNEXPECTED')
    expect(await judged(goodClaims({ ...all, roles: 'admin' }), { claims })).toBe('ERR_JWT_CLAIM_UNEXPECTED')
    expect(await judged(goodClaims({ ...all, tenant: undefined }), { claims })).toBe('ERR_JWT_CLAIM_MISSING')
    expect(await judged(goodClaims({ x: 1 }), { claims: { x: () => { throw new Error('no') } } })).toBe('ERR_JWT_CLAIM_UNEXPECTED') // prettier-ignore
    expect(await judged(goodClaims({ x: 1 }), { claims: { x: () => 'yes' as never } })).toBe('ERR_JWT_CLAIM_UNEXPECTED')
    expect(await judged(goodClaims(), { claims: { toString: 'x' } as never })).toBe('ERR_JWT_CLAIM_MISSING')
  })

  it('takes the usual types, or exactly those asked for', async () => {
    const typed = async (typ: unknown, options: Partial<IssuerOptions> = {}): Promise<string> =>
      judged(goodClaims(), options, { alg: 'RS256', typ })
    for (const typ of [undefined, 'JWT', 'jwt', 'at+jwt', 'application/at+JWT']) expect(await typed(typ)).toBe('accepted')
    for (const typ of ['dpop+jwt', 'logout+jwt', 'secevent+jwt', '', 'x/jwt']) expect(await typed(typ)).toBe('ERR_JWT_TYPE_UNEXPECTED')
    expect(await typed(7)).toBe('ERR_JWT_HEADER_INVALID')
    expect(await typed('envelope+jwt', { typ: 'envelope+jwt' })).toBe('accepted')
    expect(await typed('JWT', { typ: 'envelope+jwt' })).toBe('ERR_JWT_TYPE_UNEXPECTED')
    expect(await typed(undefined, { typ: ['JWT'] })).toBe('ERR_JWT_TYPE_UNEXPECTED')
  })

  it('has profiles', async () => {
    const at = { alg: 'RS256', typ: 'at+jwt' }
    const full = goodClaims({ client_id: 'web', jti: '1' })
    expect(await judged(full, { profile: 'rfc9068' }, at)).toBe('accepted')
    expect(await judged(full, { profile: 'rfc9068' }, rs256)).toBe('ERR_JWT_TYPE_UNEXPECTED')
    for (const name of ['sub', 'client_id', 'iat', 'jti'])
      expect(await judged({ ...full, [name]: undefined }, { profile: 'rfc9068' }, at)).toBe('ERR_JWT_CLAIM_MISSING')
    expect(await judged({ ...full, client_id: '' }, { profile: 'rfc9068' }, at)).toBe('ERR_JWT_CLAIM_INVALID')
    expect(await judged(goodClaims({ sub: undefined }), { profile: 'rfc8725', typ: 'JWT' })).toBe('ERR_JWT_CLAIM_MISSING')
    expect(() => createVerifier({ ...row, profile: 'rfc8725' })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => createVerifier({ ...row, profile: 'constructor' as never })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_INVALID' }),
    )
  })
})

it('a flood of signatures is bounded, and passes', async () => {
  const verifier = createVerifier({ issuer, audience, keys: { publicKey: ed25519.publicKey }, clock })
  const token = forge({ alg: 'EdDSA' }, goodClaims(), ed25519.privateKey)
  const results = await Promise.allSettled(Array.from({ length: 4_100 }, async () => verifier.verify(token)))
  expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(4_096)
  expect(results.at(-1)).toMatchObject({
    reason: { code: 'ERR_JWT_OVERLOADED', family: 'unavailable', reason: 'overload', retryAfterMs: 1_000 },
  })
  expect(await verifier.verify(token)).toMatchObject({ claims: { sub: 'ada' } })
})

describe('several issuers', () => {
  const other = 'https://other.example'
  const issuers = [row, { issuer: other, audience: 'theirs', keys: { publicKey: otherRsa.publicKey } }] as const

  it('are one table, in which each has its own keys and audience', async () => {
    expect(await outcome(good, { issuers, clock })).toBe('accepted')
    expect(await outcome(forge(rs256, goodClaims({ iss: other, aud: 'theirs' }), otherRsa.privateKey), { issuers, clock })).toBe('accepted')
    expect(await outcome(forge(rs256, goodClaims({ iss: other, aud: 'theirs' }), rsa.privateKey), { issuers, clock })).toBe(
      'ERR_JWT_SIGNATURE_INVALID',
    )
    expect(await outcome(forge(rs256, goodClaims({ iss: other }), otherRsa.privateKey), { issuers, clock })).toBe(
      'ERR_JWT_AUDIENCE_UNEXPECTED',
    )
    expect(await outcome(forge(rs256, goodClaims({ iss: 'https://third.example' }), rsa.privateKey), { issuers, clock })).toBe(
      'ERR_JWT_ISSUER_UNKNOWN',
    )
  })

  it('do not share what is remembered of a header', async () => {
    const verifier = createVerifier({ issuers, clock })
    expect(await verifier.verify(good)).toMatchObject({ claims: {} })
    const foreign = forge(rs256, goodClaims({ iss: other, aud: 'theirs' }), rsa.privateKey)
    expect(await verifier.verify(foreign)).toMatchObject({ refused: 'ERR_JWT_SIGNATURE_INVALID' })
  })

  it('are refused where the table makes no sense', () => {
    expect(() => createVerifier({ issuers: [row, row] })).toThrow(expect.objectContaining({ code: 'ERR_JWT_ISSUER_DUPLICATE' }))
    expect(() => createVerifier({ issuers: [] as never })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => createVerifier({ issuers, audience: 'x' } as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
  })
})

describe('a caller’s mistake', () => {
  it.each([
    [{ ...row, audience: '' }, 'ERR_OPTION_INVALID'],
    [{ ...row, audience: [] }, 'ERR_OPTION_INVALID'],
    [{ ...row, audience: [''] }, 'ERR_OPTION_INVALID'],
    [{ ...row, audience: undefined }, 'ERR_OPTION_MISSING'],
    [{ ...row, audiance: 'orders' }, 'ERR_OPTION_UNKNOWN'],
    [{ ...row, issuer: '' }, 'ERR_OPTION_INVALID'],
    [{ ...row, issuer: undefined }, 'ERR_OPTION_MISSING'],
    [{ ...row, algorithms: [] }, 'ERR_OPTION_INVALID'],
    [{ ...row, algorithms: ['none'] }, 'ERR_JWT_ALGORITHM_UNKNOWN'],
    [{ ...row, typ: '' }, 'ERR_OPTION_INVALID'],
    [{ ...row, claims: { tenant: '' } }, 'ERR_OPTION_INVALID'],
    [{ ...row, claims: { tenant: undefined } }, 'ERR_OPTION_INVALID'],
    [{ ...row, claims: { tenant: [] } }, 'ERR_OPTION_INVALID'],
    [{ ...row, claims: { tenant: Number.NaN } }, 'ERR_OPTION_INVALID'],
    [{ ...row, maxAgeSeconds: 0 }, 'ERR_OPTION_INVALID'],
    [{ ...row, scopeClaim: '' }, 'ERR_OPTION_INVALID'],
    [{ ...row, tokenCache: { maxEntries: 0 } }, 'ERR_OPTION_INVALID'],
    [{ ...row, verifyOn: 'nowhere' }, 'ERR_OPTION_INVALID'],
    [{ ...row, revocations: {} }, 'ERR_OPTION_INVALID'],
    [{ ...row, schema: {} }, 'ERR_OPTION_INVALID'],
    [{ ...row, revocations: undefined }, 'ERR_OPTION_INVALID'],
    [{ ...row, schema: undefined }, 'ERR_OPTION_INVALID'],
    [{ ...row, claims: undefined }, 'ERR_OPTION_INVALID'],
    [{ ...row, algorithms: undefined }, 'ERR_OPTION_INVALID'],
    [{ ...row, profile: undefined }, 'ERR_OPTION_INVALID'],
    [{ ...row, typ: undefined }, 'ERR_OPTION_INVALID'],
    [{ ...row, maxAgeSeconds: undefined }, 'ERR_OPTION_INVALID'],
    [{ ...row, keys: undefined }, 'ERR_OPTION_MISSING'],
    [{ ...row, keys: [] }, 'ERR_OPTION_INVALID'],
    [{ ...row, keys: {} }, 'ERR_OPTION_MISSING'],
  ])('%#: is found when the verifier is made', (options, code) => {
    expect(() => createVerifier(options as never)).toThrow(expect.objectContaining({ code, family: 'configuration' }))
  })
})

describe('signers', () => {
  it('issue no token for nobody, where the audience or subject was meant to be given and is not there', async () => {
    const settings = { issuer, key: { privateKey: ed25519.privateKey }, audience, subject: 'ada' } as const
    const refusal = expect.objectContaining({ code: 'ERR_OPTION_INVALID' })
    expect(() => createIssuer({ ...settings, audience: undefined } as never)).toThrow(refusal)
    await expect(createIssuer(settings).issue({ audience: undefined } as never)).rejects.toEqual(refusal)
    await expect(createIssuer(settings).issue({ subject: undefined } as never)).rejects.toEqual(refusal)
  })

  it('sign claims as they are, with any header but the parameters that decide', async () => {
    const signer = createSigner({ key: { privateKey: ed25519.privateKey, keyId: 'k' }, typ: 'dpop+jwt', header: { jwk: { kty: 'OKP' } } })
    const { protectedHeader, payload } = await compactVerify(await signer.sign({ htm: 'GET' }), ed25519.publicKey)
    expect(protectedHeader).toEqual({ alg: 'EdDSA', typ: 'dpop+jwt', kid: 'k', jwk: { kty: 'OKP' } })
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual({ htm: 'GET' })
    for (const name of ['alg', 'crit', 'b64', 'kid', 'typ']) {
      expect(() => createSigner({ key: { privateKey: ed25519.privateKey }, header: { [name]: 'x' } as never })).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION_INVALID' }),
      )
    }
    expect(signer.jwks()).toEqual({ keys: [{ ...(await exportJWK(ed25519.publicKey)), kid: 'k', alg: 'EdDSA', use: 'sig' }] })
  })

  it('write exp, nbf, iat and jti, and nothing that was not asked for', async () => {
    const token = await createIssuer({ issuer, key: { privateKey: ed25519.privateKey }, clock }).issue({ claims: { scope: 'a b' } })
    const claims = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString())
    expect(claims).toEqual({
      iss: issuer,
      exp: start + 300,
      nbf: start,
      iat: start,
      jti: expect.stringMatching(/^[0-9a-f-]{36}$/),
      scope: 'a b',
    })
  })

  it.each([
    { claims: { exp: 1 } },
    { expiresInSeconds: 0 },
    { expiresInSeconds: Number.NaN },
    { subject: '' },
    { audience: '' },
    { audience: [] as never },
    { jwtId: '' },
    { expiresIn: 3 } as never,
  ])('refuse %j', async (content) => {
    await expect(createIssuer({ issuer, key: { privateKey: ed25519.privateKey } }).issue(content)).rejects.toMatchObject({
      family: 'configuration',
    })
  })

  it('refuse a key that does not fit, and publish no secret', () => {
    expect(() => createSigner({ key: { privateKey: p256.privateKey, algorithm: 'ES384' } })).toThrow(
      expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }),
    )
    expect(() => createSigner({ key: { secret: secret('short') } })).toThrow(expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }))
    expect(() => createSigner({ key: { privateKey: rsa.publicKey } })).toThrow(
      expect.objectContaining({ code: 'ERR_CRYPTO_KEY_WRONG_KIND' }),
    )
    expect(() => createSigner({ key: {} as never })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_MISSING' }))
    expect(() => createSigner({ key: { secret: randomBytes(32) } }).jwks()).toThrow(
      expect.objectContaining({ code: 'ERR_JWT_KEY_UNUSABLE' }),
    )
  })
})
