import { execFileSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { rootCertificates } from 'node:tls'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { parseCertificate, parseCertificates } from './certificate.ts'
import { CryptoError } from './errors.ts'
import { loadCertificates } from './load-certificates.ts'
import { makeChain, temporaryFolder } from './openssl.test-support.ts'
import { parsePasswordHash } from './password-hash.ts'
import { parsePrivateKey } from './private-key.ts'
import { parsePublicKey } from './public-key.ts'

// Whatever the bytes are, the outcome is a value or an error of this package, never one of the runtime's.
async function isContained(work: () => unknown): Promise<void> {
  try {
    await work()
  } catch (error) {
    expect(error).toBeInstanceOf(CryptoError)
  }
}

const folder = temporaryFolder()
let store: Buffer

beforeAll(async () => {
  await makeChain(folder)
  const args = ['pkcs12', '-export', '-inkey', 'leaf.key', '-in', 'leaf.pem', '-out', 'store.p12', '-passout', 'pass:x', '-nomac']
  execFileSync('openssl', [...args, '-keypbe', 'NONE', '-certpbe', 'NONE'], { cwd: folder })
  store = readFileSync(join(folder, 'store.p12'))
})

/** The bytes with a few of them changed, and perhaps some cut off. */
function damaged(bytes: Uint8Array): fc.Arbitrary<Buffer> {
  const change = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255))
  return fc.tuple(fc.array(change, { minLength: 1, maxLength: 4 }), fc.option(fc.nat(bytes.length))).map(([changes, length]) => {
    const copy = Buffer.from(bytes)
    for (const [at, value] of changes) copy[at] = value
    return copy.subarray(0, length ?? copy.length)
  })
}

test('damaged certificates', async () => {
  for (const pem of rootCertificates.slice(0, 20)) {
    const { raw } = parseCertificate(pem).x509
    await fc.assert(
      fc.asyncProperty(damaged(raw), async (der) => isContained(() => parseCertificate(der))),
      { numRuns: 100 },
    )
  }
})

test('damaged stores in clear, where nothing vouches for the content', async () => {
  await fc.assert(
    fc.asyncProperty(damaged(store), async (pkcs12) => isContained(async () => loadCertificates({ pkcs12 }))),
    { numRuns: 1000 },
  )
})

test('damaged keys', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pkcs8 = privateKey.export({ format: 'der', type: 'pkcs8' })
  const encrypted = privateKey.export({ format: 'der', type: 'pkcs8', cipher: 'aes-128-cbc', passphrase: 'x' })
  const spki = publicKey.export({ format: 'der', type: 'spki' })
  await fc.assert(fc.asyncProperty(damaged(pkcs8), async (der) => isContained(() => parsePrivateKey({ der }))))
  await fc.assert(fc.asyncProperty(damaged(encrypted), async (der) => isContained(() => parsePrivateKey({ der, password: 'x' }))))
  await fc.assert(fc.asyncProperty(damaged(spki), async (der) => isContained(() => parsePublicKey({ der }))))
})

test('any text or object as PEM, JWK or stored password', async () => {
  const pem = fc.string({
    unit: fc.constantFrom('-----BEGIN ', 'CERTIFICATE', 'PRIVATE KEY', '-----', '\n', 'AAAA', 'END ', ':', '=', ' '),
  })
  await fc.assert(
    fc.asyncProperty(pem, async (text) => {
      await isContained(() => parseCertificates(text))
      await isContained(() => parsePrivateKey({ pem: text }))
      await isContained(() => parsePublicKey({ pem: text }))
    }),
    { numRuns: 500 },
  )
  const member = fc.oneof(
    fc.string(),
    fc.base64String(),
    fc.constantFrom('EC', 'RSA', 'OKP', 'AKP', 'oct', 'P-256', 'Ed25519', 'AQAB'),
    fc.anything(),
  )
  const jwk = fc.dictionary(
    fc.constantFrom('kty', 'crv', 'x', 'y', 'd', 'n', 'e', 'p', 'q', 'dp', 'dq', 'qi', 'k', 'alg', 'pub', 'priv', 'oth'),
    member,
  )
  await fc.assert(
    fc.asyncProperty(jwk, async (object) => {
      await isContained(() => parsePrivateKey({ jwk: object as never }))
      await isContained(() => parsePublicKey({ jwk: object as never }))
    }),
    { numRuns: 500 },
  )
  const stored = fc.string({
    unit: fc.constantFrom(
      '$',
      'argon2id',
      'scrypt',
      'v=19',
      'm=64',
      'ln=1',
      ',',
      'r=8',
      't=1',
      'p=1',
      'AAAAAAAAAAAAAAAAAAAAAA',
      '2b',
      '10',
      '@sha256:{',
      '}',
    ),
  })
  await fc.assert(
    fc.asyncProperty(stored, async (text) => isContained(() => parsePasswordHash(text))),
    { numRuns: 500 },
  )
})
