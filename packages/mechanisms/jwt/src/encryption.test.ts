import { generateKeyPairSync, randomBytes, type KeyObject } from 'node:crypto'
import { guard, secret } from '@portcullis/core'
import { CompactEncrypt, compactDecrypt } from 'jose'
import { describe, expect, it } from 'vitest'
import { jwt } from './authenticator.ts'
import {
  decryptToken,
  encryptToken,
  type DecryptionKey,
  type DecryptionOptions,
  type EncryptionOptions,
  type KeyManagement,
} from './encryption.ts'
import { audience, b64, bearer, ed25519, forge, goodClaims, issuer, newClock, p256, requestWith, rsa } from './fixtures.test-support.ts'
import { createVerifier } from './verify.ts'

const clock = newClock()
const x25519 = generateKeyPairSync('x25519')
const signed = forge({ alg: 'EdDSA' }, goodClaims(), ed25519.privateKey)
const secrets = { 16: randomBytes(16), 32: randomBytes(32) }

const ways: Readonly<Record<KeyManagement, { readonly to: EncryptionOptions; readonly by: DecryptionKey }>> = {
  'RSA-OAEP-256': pair('RSA-OAEP-256', rsa),
  'RSA-OAEP': pair('RSA-OAEP', rsa),
  'ECDH-ES': pair('ECDH-ES', p256),
  'ECDH-ES+A128KW': pair('ECDH-ES+A128KW', x25519),
  'ECDH-ES+A256KW': pair('ECDH-ES+A256KW', p256),
  A128KW: shared('A128KW', 16),
  A256KW: shared('A256KW', 32),
  A128GCMKW: shared('A128GCMKW', 16),
  A256GCMKW: shared('A256GCMKW', 32),
  dir: shared('dir', 32),
}

function pair(algorithm: KeyManagement, { publicKey, privateKey }: { readonly publicKey: KeyObject; readonly privateKey: KeyObject }) {
  return { to: { algorithm, publicKey }, by: { algorithm, privateKey } }
}

function shared(algorithm: KeyManagement, bytes: 16 | 32) {
  return { to: { algorithm, secret: secrets[bytes] }, by: { algorithm, secret: secrets[bytes] } }
}

const { to, by } = ways['RSA-OAEP-256']

async function outcome(token: string, decryption: DecryptionOptions | undefined = { keys: [by] }): Promise<string> {
  const verifier = createVerifier({
    issuer,
    audience,
    keys: { publicKey: ed25519.publicKey },
    clock,
    ...(decryption !== undefined && { decryption }),
  })
  const result = await verifier.verify(token)
  return 'refused' in result ? result.refused : 'accepted'
}

/** An encrypted token by jose, whose header and content may be anything. */
async function sealed(
  header: Readonly<Record<string, unknown>>,
  content: string | Uint8Array = signed,
  key: KeyObject = rsa.publicKey,
): Promise<string> {
  const protectedHeader = { alg: 'RSA-OAEP-256', enc: 'A256GCM', cty: 'JWT', ...header }
  return new CompactEncrypt(typeof content === 'string' ? Buffer.from(content) : content).setProtectedHeader(protectedHeader).encrypt(key)
}

describe('an encrypted token', () => {
  it.each(Object.entries(ways))('is opened and verified: %s', async (_, way) => {
    const token = await encryptToken(signed, way.to)
    expect(token.split('.')).toHaveLength(5)
    expect(await decryptToken(token, { keys: [way.by] })).toBe(signed)
    expect(await outcome(token, { keys: [way.by] })).toBe('accepted')
  })

  it.each(['A128GCM', 'A256GCM', 'A128CBC-HS256', 'A256CBC-HS512'] as const)('is what jose opens and closes: %s', async (encryption) => {
    const { plaintext } = await compactDecrypt(await encryptToken(signed, { ...to, encryption, keyId: 'k' }), rsa.privateKey)
    expect(Buffer.from(plaintext).toString()).toBe(signed)
    expect(await outcome(await sealed({ enc: encryption }))).toBe('accepted')
  })

  it('makes a principal, at once when it comes again', async () => {
    const orders = guard({
      authenticate: jwt({ issuer, audience, keys: { publicKey: ed25519.publicKey }, decryption: { keys: [by] }, clock }),
      clock,
    })
    const token = await encryptToken(signed, to)
    expect(await orders.decide(requestWith(bearer(token)))).toMatchObject({ outcome: 'allow', principal: { subject: 'ada' } })
    expect(orders.decide(requestWith(bearer(token)))).toMatchObject({ outcome: 'allow' })
    expect(await orders.decide(requestWith(bearer(signed)))).toMatchObject({ outcome: 'allow' })
  })

  it('is not ours where nothing opens it', async () => {
    const orders = guard({ authenticate: jwt({ issuer, audience, keys: { publicKey: ed25519.publicKey }, clock }), clock })
    expect(await orders.decide(requestWith(bearer(await encryptToken(signed, to))))).toMatchObject({ reason: 'missing' })
    const verifier = createVerifier({ issuer, audience, keys: { publicKey: ed25519.publicKey }, clock })
    expect(await verifier.verify(await encryptToken(signed, to))).toMatchObject({ refused: 'ERR_JWT_MALFORMED' })
  })

  it('is judged by the token inside', async () => {
    const inside = async (token: string): Promise<string> => outcome(await encryptToken(token, to))
    expect(await inside(forge({ alg: 'EdDSA' }, goodClaims({ exp: 1 }), ed25519.privateKey))).toBe('ERR_JWT_EXPIRED')
    expect(await inside(`${signed.slice(0, -4)}AAAA`)).toBe('ERR_JWT_SIGNATURE_INVALID')
    expect(await inside(`${b64({ alg: 'none' })}.${b64(goodClaims())}.`)).toBe('ERR_JWT_UNSECURED')
    expect(await inside(JSON.stringify(goodClaims()))).toBe('ERR_JWT_MALFORMED')
    expect(await inside(await encryptToken(signed, to))).toBe('ERR_JWT_MALFORMED')
    expect(await inside('..')).toBe('ERR_JWT_MALFORMED')
    expect(await inside('')).toBe('ERR_JWT_MALFORMED')
  })
})

describe('what is refused', () => {
  it('says less than its contents', async () => {
    expect(await outcome(await sealed({ cty: undefined }))).toBe('ERR_JWT_HEADER_INVALID')
    expect(await outcome(await sealed({ cty: 'jose' }))).toBe('ERR_JWT_HEADER_INVALID')
    expect(await outcome(await sealed({ kid: 'other' }), { keys: [{ ...by, keyId: 'mine' }] })).toBe('ERR_JWT_KEY_UNKNOWN')
    expect(await outcome(await sealed({ kid: 'other' }))).toBe('accepted')
    expect(await outcome(await sealed({}), { keys: [by, { ...by, keyId: 'x' }] })).toBe('ERR_JWT_KEY_AMBIGUOUS')
    expect(await outcome(await sealed({ kid: 'x' }), { keys: [by, { ...by, keyId: 'x' }] })).toBe('accepted')
  })

  it('is compressed, or chooses its own algorithms', async () => {
    const relabel = async (header: Readonly<Record<string, unknown>>): Promise<string> => {
      const [, ...rest] = (await sealed({})).split('.')
      return [b64({ alg: 'RSA-OAEP-256', enc: 'A256GCM', cty: 'JWT', ...header }), ...rest].join('.')
    }
    expect(await outcome(await sealed({ zip: 'DEF' }))).toBe('ERR_JWT_ENCRYPTION_NOT_ALLOWED')
    expect(await outcome(await relabel({ zip: 'DEF' }))).toBe('ERR_JWT_ENCRYPTION_NOT_ALLOWED')
    for (const alg of ['RSA1_5', 'RSA-OAEP', 'dir', 'PBES2-HS256+A128KW', 'none', '__proto__', 7, undefined])
      expect(await outcome(await relabel({ alg }))).toBe('ERR_JWT_ENCRYPTION_NOT_ALLOWED')
    for (const enc of ['A192GCM', 'none', '', undefined, ['A256GCM']])
      expect(await outcome(await relabel({ enc }))).toBe('ERR_JWT_ENCRYPTION_NOT_ALLOWED')
    expect(await outcome(await sealed({}), { keys: [by], encryptions: ['A128GCM'] })).toBe('ERR_JWT_ENCRYPTION_NOT_ALLOWED')
    expect(await outcome(await relabel({ crit: ['exp'], exp: 1 }))).toBe('ERR_JWT_CRITICAL_UNKNOWN')
    expect(await outcome(await relabel({ kid: 7 }))).toBe('ERR_JWT_HEADER_INVALID')
    expect(await outcome(await relabel({ p2c: 1e9 }))).toBe('ERR_JWT_DECRYPTION_FAILED')
  })

  it('was changed anywhere, or is for somebody else', async () => {
    const parts = (await sealed({})).split('.')
    for (let at = 1; at < 5; at++) {
      const flipped = Buffer.from(parts[at]!, 'base64url')
      flipped[0]! ^= 1
      expect(await outcome(parts.with(at, flipped.toString('base64url')).join('.'))).toBe('ERR_JWT_DECRYPTION_FAILED')
      expect(await outcome(parts.with(at, `${parts[at]!}=`).join('.'))).toBe('ERR_JWT_BASE64URL')
      expect(await outcome(parts.with(at, '').join('.'))).toBe('ERR_JWT_DECRYPTION_FAILED')
    }
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 })
    expect(await outcome(await sealed({}, signed, other.publicKey))).toBe('ERR_JWT_DECRYPTION_FAILED')
    expect(await outcome(`${parts.join('.')}.x`)).toBe('ERR_JWT_MALFORMED')
    expect(await outcome(parts.slice(0, 4).join('.'))).toBe('ERR_JWT_MALFORMED')
  })

  it('is longer than any sound token', async () => {
    expect(await outcome(await sealed({}, randomBytes(16_384)))).toBe('ERR_JWT_TOO_LARGE')
    expect(await outcome(await sealed({ pad: 'x'.repeat(2_000) }))).toBe('ERR_JWT_TOO_LARGE')
  })

  it('tells by an error where it is opened alone', async () => {
    await expect(decryptToken(signed, { keys: [by] })).rejects.toMatchObject({ code: 'ERR_JWT_MALFORMED', family: 'authentication' })
    await expect(decryptToken('x'.repeat(20_000), { keys: [by] })).rejects.toMatchObject({ code: 'ERR_JWT_TOO_LARGE' })
  })

  it.each<[unknown, string]>([
    [{ keys: [] }, 'ERR_OPTION_INVALID'],
    [{ keys: [by], encryptions: [] }, 'ERR_OPTION_INVALID'],
    [{ keys: [by], encryptions: ['none'] }, 'ERR_JWT_ALGORITHM_UNKNOWN'],
    [{ keys: [{ ...by, algorithm: 'RSA1_5' }] }, 'ERR_JWT_ALGORITHM_UNKNOWN'],
    [{ keys: [{ ...by, algorithm: 'toString' }] }, 'ERR_JWT_ALGORITHM_UNKNOWN'],
    [{ keys: [{ ...by, algorithm: 'ECDH-ES' }] }, 'ERR_JWT_KEY_UNUSABLE'],
    [{ keys: [{ ...by, algorithm: 'dir' }] }, 'ERR_JWT_KEY_UNUSABLE'],
    [{ keys: [{ algorithm: 'A128KW', secret: secrets[32] }] }, 'ERR_JWT_KEY_UNUSABLE'],
    [{ keys: [{ algorithm: 'dir', secret: secrets[16] }], encryptions: ['A256GCM'] }, 'ERR_JWT_KEY_UNUSABLE'],
    [{ keys: [{ algorithm: 'A128KW', secret: secret('-----BEGIN X') }] }, 'ERR_JWT_KEY_UNUSABLE'],
    [{ keys: [{ algorithm: 'dir' }] }, 'ERR_OPTION_MISSING'],
    [{ keys: [{ ...by, kid: 'x' }] }, 'ERR_OPTION_UNKNOWN'],
    [{ keys: [{ ...by, keyId: '' }] }, 'ERR_OPTION_INVALID'],
  ])('is a configuration that cannot work: %#', async (options, code) => {
    await expect(decryptToken(signed, options as DecryptionOptions)).rejects.toMatchObject({ code, family: 'configuration' })
    expect(() =>
      createVerifier({ issuer, audience, keys: { publicKey: ed25519.publicKey }, decryption: options as DecryptionOptions }),
    ).toThrow(expect.objectContaining({ code }))
  })
})
