import { createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { makeChain, openssl, refusal, temporaryFolder } from './openssl.test-support.ts'
import { loadPublicKey, parsePublicKey } from './public-key.ts'

const folder = temporaryFolder()
const at = (name: string) => join(folder, name)
const read = (name: string) => readFileSync(at(name))

beforeAll(async () => {
  await makeChain(folder)
  await openssl(folder, 'pkey', '-in', 'leaf.key', '-pubout', '-out', 'leaf.pub')
  await openssl(folder, 'pkey', '-in', 'leaf.key', '-pubout', '-outform', 'DER', '-out', 'leaf.pub.der')
  await openssl(folder, 'x509', '-in', 'leaf.pem', '-outform', 'DER', '-out', 'leaf.der')
})

test('every form of one key', async () => {
  const expected = createPublicKey(read('leaf.pub'))
  const sources = [
    { pem: read('leaf.pub') },
    { pem: read('leaf.pem').toString() },
    { pemFile: at('leaf.pub') },
    { pemFile: at('leaf.pem') },
    { der: read('leaf.pub.der') },
    { der: read('leaf.der') },
    { derFile: at('leaf.der') },
    { jwk: expected.export({ format: 'jwk' }) },
    new X509Certificate(read('leaf.pem')),
    expected,
  ]
  for (const source of sources) expect((await loadPublicKey(source)).equals(expected)).toBe(true)
})

test('PKCS#1 of RSA', () => {
  const { publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  expect(parsePublicKey({ pem: publicKey.export({ format: 'pem', type: 'pkcs1' }) as string }).equals(publicKey)).toBe(true)
  expect(parsePublicKey({ der: publicKey.export({ format: 'der', type: 'pkcs1' }) }).equals(publicKey)).toBe(true)
})

test('a private key is refused in every form', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePublicKey(privateKey))
  await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePublicKey({ jwk: privateKey.export({ format: 'jwk' }) }))
  await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePublicKey({ pem: read('leaf.key') }))
  await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePublicKey({ pem: Buffer.concat([read('leaf.key'), read('leaf.pem')]) }))
  for (const type of ['pkcs8', 'sec1'] as const) {
    const der = privateKey.export({ format: 'der', type })
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePublicKey({ der }))
    const mislabelled = `-----BEGIN PUBLIC KEY-----\n${der.toString('base64')}\n-----END PUBLIC KEY-----`
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePublicKey({ pem: mislabelled }))
  }
  await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePublicKey({ jwk: { kty: 'oct', k: 'AAAA' } }))
})

test('several keys, none, junk, a password', async () => {
  await refusal('ERR_CRYPTO_KEY_AMBIGUOUS', () => parsePublicKey({ pem: Buffer.concat([read('leaf.pem'), read('ca.pem')]) }))
  await refusal('ERR_CRYPTO_KEY_MISSING', () => parsePublicKey({ pem: '' }))
  await refusal('ERR_CRYPTO_KEY_MALFORMED', () => parsePublicKey({ der: Buffer.from([0x30, 0x00]) }))
  await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => loadPublicKey({ pemFile: at('leaf.pub'), password: 'x' } as never))
})

test('weak keys', async () => {
  await refusal('ERR_CRYPTO_KEY_WEAK', () => parsePublicKey(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey))
  const jwk = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })
  // An even exponent, and 1, under which every message is its own signature.
  for (const e of ['AQ', 'AQAC', 'Aw']) {
    await expect(loadPublicKey({ jwk: { ...jwk, e } })).rejects.toMatchObject({ code: expect.stringMatching(/KEY_(WEAK|MALFORMED)/) })
  }
})
