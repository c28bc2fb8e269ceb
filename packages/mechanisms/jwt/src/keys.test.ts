import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate, type JsonWebKey } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { guard } from '@portcullis/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { jwt } from './authenticator.ts'
import {
  audience,
  bearer,
  ed25519,
  forge,
  goodClaims,
  issuer,
  newClock,
  otherRsa,
  p256,
  requestWith,
  rsa,
  start,
} from './fixtures.test-support.ts'
import type { LocalKeys } from './keys.ts'
import { createVerifier, type VerifierOptions } from './verify.ts'

const clock = newClock()
const by = (keys: VerifierOptions['keys']): VerifierOptions => ({ issuer, audience, keys, clock }) as VerifierOptions
const published = (pair: typeof rsa, kid?: string, more: object = {}): JsonWebKey => ({
  ...pair.publicKey.export({ format: 'jwk' }),
  ...(kid !== undefined && { kid }),
  ...more,
})

async function outcome(keys: VerifierOptions['keys'], header: object, pair = rsa): Promise<string> {
  const result = await createVerifier(by(keys)).verify(forge(header, goodClaims(), pair.privateKey))
  return 'refused' in result ? result.refused : 'accepted'
}

describe('keys at hand', () => {
  it('may come as PEM, DER, JWK or key object', async () => {
    for (const publicKey of [
      rsa.publicKey,
      { pem: String(rsa.publicKey.export({ type: 'spki', format: 'pem' })) },
      { der: rsa.publicKey.export({ type: 'spki', format: 'der' }) },
      { jwk: rsa.publicKey.export({ format: 'jwk' }) },
    ]) {
      expect(await outcome({ publicKey }, { alg: 'RS256' })).toBe('accepted')
    }
  })

  it('without an identifier stand for every identifier that no other key has', async () => {
    expect(await outcome({ publicKey: rsa.publicKey }, { alg: 'RS256', kid: 'any' })).toBe('accepted')
    const keys = [{ publicKey: rsa.publicKey }, { publicKey: otherRsa.publicKey, keyId: 'other' }] as const
    expect(await outcome(keys, { alg: 'RS256', kid: 'any' })).toBe('accepted')
    expect(await outcome(keys, { alg: 'RS256', kid: 'other' })).toBe('ERR_JWT_SIGNATURE_INVALID')
    expect(await outcome(keys, { alg: 'RS256' })).toBe('ERR_JWT_KEY_AMBIGUOUS')
    expect(await outcome([{ publicKey: rsa.publicKey }, { publicKey: otherRsa.publicKey }], { alg: 'RS256', kid: 'any' })).toBe(
      'ERR_JWT_KEY_AMBIGUOUS',
    )
  })

  it('are told apart by algorithm where tokens name none', async () => {
    const keys = [
      { publicKey: rsa.publicKey, keyId: 'a' },
      { publicKey: p256.publicKey, keyId: 'b' },
    ] as const
    expect(await outcome(keys, { alg: 'ES256' }, p256)).toBe('accepted')
    expect(await outcome(keys, { alg: 'EdDSA' }, ed25519)).toBe('ERR_JWT_ALGORITHM_NOT_ALLOWED')
    expect(await outcome(keys, { alg: 'RS256', kid: 'b' })).toBe('ERR_JWT_ALGORITHM_NOT_ALLOWED')
    expect(await outcome(keys, { alg: 'RS256', kid: 'c' })).toBe('ERR_JWT_KEY_UNKNOWN')
  })

  it('may have one identifier for two algorithms, and not for one', async () => {
    const keys = { jwks: { keys: [published(rsa, 'k', { alg: 'RS256' }), published(p256, 'k')] } }
    expect(await outcome(keys, { alg: 'ES256', kid: 'k' }, p256)).toBe('accepted')
    expect(await outcome(keys, { alg: 'RS256', kid: 'k' })).toBe('accepted')
    const twice = { jwks: { keys: [published(rsa, 'k'), published(otherRsa, 'k')] } }
    expect(() => createVerifier(by(twice))).toThrow(expect.objectContaining({ code: 'ERR_JWT_KEY_DUPLICATE' }))
  })

  it.each<[string, unknown]>([
    ['ERR_JWT_KEY_UNUSABLE', { jwks: { keys: [published(rsa, 'a', { use: 'enc' })] } }],
    ['ERR_JWT_KEY_UNUSABLE', { jwks: { keys: [published(rsa, 'a', { key_ops: ['sign'] })] } }],
    ['ERR_JWT_KEY_UNUSABLE', { jwks: { keys: [published(rsa, 'a', { key_ops: 'verify' })] } }],
    ['ERR_JWT_KEY_UNUSABLE', { jwks: { keys: [published(rsa, 'a', { alg: 'RSA-OAEP' })] } }],
    ['ERR_JWT_KEY_UNUSABLE', { jwks: { keys: [published(rsa, 'a', { alg: 'ES256' })] } }],
    ['ERR_JWT_KEY_UNUSABLE', { jwks: { keys: [published(rsa, 'a', { alg: 'none' })] } }],
    ['ERR_JWT_KEY_UNUSABLE', { jwks: { keys: [published(rsa, '')] } }],
    ['ERR_JWT_KEY_UNUSABLE', { jwks: { keys: [published(rsa, 7 as never)] } }],
    ['ERR_JWT_KEY_UNUSABLE', { jwks: { keys: [{ kty: 'oct', k: 'c2hvcnQ' }] } }],
    ['ERR_CRYPTO_KEY_WRONG_KIND', { jwks: { keys: [rsa.privateKey.export({ format: 'jwk' })] } }],
    ['ERR_OPTION_INVALID', { jwks: { keys: [] } }],
    ['ERR_OPTION_INVALID', { jwks: {} }],
    ['ERR_OPTION_INVALID', { jwks: null }],
    ['ERR_OPTION_UNKNOWN', { jwks: { keys: [published(rsa)] }, algorithms: ['RS256'] }],
    ['ERR_OPTION_UNKNOWN', { publicKey: rsa.publicKey, kid: 'a' }],
    ['ERR_OPTION_INVALID', { publicKey: rsa.publicKey, keyId: '' }],
    ['ERR_OPTION_INVALID', { publicKey: rsa.publicKey, algorithms: [] }],
    ['ERR_JWT_ALGORITHM_UNKNOWN', { publicKey: rsa.publicKey, algorithms: ['toString'] }],
  ])('are refused with %s when the verifier is made: %#', (code, keys) => {
    expect(() => createVerifier(by(keys as LocalKeys))).toThrow(expect.objectContaining({ code, family: 'configuration' }))
  })

  it('may be ten thousand', async () => {
    const keys = Array.from({ length: 10_000 }, (_, at) => ({ secret: Buffer.alloc(32, `${at}`), keyId: `${at}` })) as unknown as [
      LocalKeys,
    ]
    const token = forge({ alg: 'RS256', kid: 'rsa' }, goodClaims(), rsa.privateKey)
    expect(await createVerifier(by([...keys, { publicKey: rsa.publicKey, keyId: 'rsa' }])).verify(token)).toMatchObject({ claims: {} })
  })
})

describe('a certificate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-jwt-'))
  let pem = ''

  beforeAll(() => {
    const key = join(folder, 'key.pem')
    execFileSync(
      'openssl',
      [
        'req',
        '-x509',
        '-newkey',
        'ed25519',
        '-nodes',
        '-keyout',
        key,
        '-out',
        join(folder, 'cert.pem'),
        '-subj',
        '/CN=issuer',
        '-days',
        '1',
      ],
      { stdio: 'ignore' },
    )
    pem = readFileSync(join(folder, 'cert.pem'), 'utf8')
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  it('lends its key for as long as it is valid, also to what is remembered', async () => {
    const x509 = new X509Certificate(pem)
    const privateKey = createPrivateKey(readFileSync(join(folder, 'key.pem')))
    const begins = x509.validFromDate.getTime()
    const ends = x509.validToDate.getTime()
    const claims = goodClaims({ iat: undefined, exp: Math.floor(ends / 1000) + 1_000_000 })
    const token = forge({ alg: 'EdDSA' }, claims, privateKey)
    for (const publicKey of [x509, { pem }, { der: x509.raw }]) {
      const moving = newClock()
      const orders = guard({ authenticate: jwt({ issuer, audience, keys: { publicKey }, clock: moving }), clock: moving })
      const credential = bearer(token)
      const codeAt = async (ms: number): Promise<string> => {
        moving.step(ms)
        const decision = await orders.decide(requestWith(credential))
        return decision.outcome === 'allow' ? 'allow' : decision.code
      }
      expect(await codeAt(begins - 1)).toBe('ERR_JWT_KEY_OUT_OF_DATE')
      expect(await codeAt(begins)).toBe('allow')
      expect(await codeAt(ends + 999)).toBe('allow')
      expect(await codeAt(ends + 1_000)).toBe('ERR_JWT_KEY_OUT_OF_DATE')
      expect(await codeAt(begins - 1)).toBe('ERR_JWT_KEY_OUT_OF_DATE')
    }
    expect(start).toBeLessThan(ends)
  })
})
