import * as crypto from 'node:crypto'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openssl, refusal, runtimeHas, temporaryFolder } from './openssl.test-support.ts'
import { parsePublicKey } from './public-key.ts'
import { sign, signer } from './sign.ts'
import { signatureAlgorithms, signatureAlgorithmsOf, type SignatureAlgorithm } from './signature-algorithm.ts'
import { verifier, verify } from './verify.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ed25519 = generateKeyPairSync('ed25519')
const curve = (namedCurve: string) => generateKeyPairSync('ec', { namedCurve })
const pss = (parameters: object) => generateKeyPairSync('rsa-pss', { modulusLength: 2048, ...parameters })

interface Pair {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
}

const classicalPairs = {
  RS256: rsa,
  RS384: rsa,
  RS512: rsa,
  PS256: rsa,
  PS384: rsa,
  PS512: rsa,
  ES256: curve('P-256'),
  ES384: curve('P-384'),
  ES512: curve('P-521'),
  ES256K: curve('secp256k1'),
  EdDSA: ed25519,
  Ed25519: ed25519,
} satisfies Partial<Record<SignatureAlgorithm, Pair>>

const pairs: Partial<Record<SignatureAlgorithm, Pair>> = runtimeHas('ml-dsa-44')
  ? {
      ...classicalPairs,
      'ML-DSA-44': generateKeyPairSync('ml-dsa-44'),
      'ML-DSA-65': generateKeyPairSync('ml-dsa-65'),
      'ML-DSA-87': generateKeyPairSync('ml-dsa-87'),
    }
  : classicalPairs

const data = 'the quick brown fox'

describe.each(Object.entries(pairs) as [SignatureAlgorithm, Pair][])('%s', (algorithm, { publicKey, privateKey }) => {
  test('signs and verifies, at once and on the pool', async () => {
    const own = signer(algorithm, privateKey)
    const their = verifier(algorithm, publicKey)
    for (const signature of [own.sign(data), await own.signAsync(data)]) {
      expect(their.verify(data, signature)).toBe(true)
      expect(await their.verifyAsync(data, signature)).toBe(true)
      expect(their.verify(`${data}.`, signature)).toBe(false)
      expect(await their.verifyAsync(`${data}.`, signature)).toBe(false)
    }
  })

  test('a changed, shortened, lengthened, empty or foreign signature is false', async () => {
    const their = verifier(algorithm, publicKey)
    const signature = sign(algorithm, privateKey, data)
    const changed = Buffer.from(signature)
    changed[changed.length - 1] = (changed.at(-1) ?? 0) ^ 1
    const bad = [
      changed,
      signature.subarray(1),
      signature.subarray(0, -1),
      Buffer.concat([signature, Buffer.from([0])]),
      Buffer.concat([Buffer.from([0]), signature]),
      Buffer.alloc(0),
      Buffer.alloc(signature.length),
      Buffer.alloc(signature.length, 0xff),
      Buffer.alloc(100_000, 1),
    ]
    for (const one of bad) {
      expect(their.verify(data, one)).toBe(false)
      expect(await their.verifyAsync(data, one)).toBe(false)
    }
    expect(their.verify(data, undefined as never)).toBe(false)
    expect(their.verify(data, signature.toString('latin1') as never)).toBe(false)
  })

  // One in 256 signatures of RSA begins with a zero, and is the same number without it.
  if (/^[RP]S/.test(algorithm))
    test('a signature without its leading zero is false', async () => {
      const their = verifier(algorithm, publicKey)
      for (let at = 0; ; at++) {
        const numbered = Buffer.from(`${at}`)
        const signature = sign(algorithm, privateKey, numbered)
        if (signature[0] !== 0) continue
        expect(their.verify(numbered, signature)).toBe(true)
        expect(their.verify(numbered, signature.subarray(1))).toBe(false)
        expect(await their.verifyAsync(numbered, signature.subarray(1))).toBe(false)
        return
      }
    })

  test('no key of another algorithm fits', async () => {
    for (const other of signatureAlgorithms) {
      if (signatureAlgorithmsOf(publicKey).includes(other)) continue
      await refusal('ERR_CRYPTO_ALGORITHM_MISMATCH', () => verifier(other, publicKey))
      await refusal('ERR_CRYPTO_ALGORITHM_MISMATCH', () => signer(other, privateKey))
    }
  })

  test('a private key does not verify, a public one does not sign', async () => {
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => verifier(algorithm, privateKey))
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => signer(algorithm, publicKey))
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => verifier(algorithm, crypto.createSecretKey(Buffer.alloc(32))))
  })
})

test('algorithms that do not exist', async () => {
  for (const name of ['none', 'HS256', 'rs256', '', '__proto__', 'toString', undefined]) {
    await refusal('ERR_CRYPTO_ALGORITHM_UNKNOWN', () => verifier(name as never, rsa.publicKey))
    await refusal('ERR_CRYPTO_ALGORITHM_UNKNOWN', () => signer(name as never, rsa.privateKey))
  }
})

test('a runtime without ML-DSA refuses its keys by code', async () => {
  // A public key of ML-DSA-44 is any 1,312 bytes.
  const der = Buffer.concat([Buffer.from('30820532300b06096086480165030403110382052100', 'hex'), Buffer.alloc(1312, 7)])
  if (runtimeHas('ml-dsa-44')) expect(signatureAlgorithmsOf(parsePublicKey({ der }))).toEqual(['ML-DSA-44'])
  else await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => parsePublicKey({ der }))
})

test('which algorithms a key has', () => {
  expect(signatureAlgorithmsOf(rsa.publicKey)).toEqual(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'])
  expect(signatureAlgorithmsOf(classicalPairs.ES384.privateKey)).toEqual(['ES384'])
  expect(signatureAlgorithmsOf(ed25519.publicKey)).toEqual(['EdDSA', 'Ed25519'])
  expect(signatureAlgorithmsOf(generateKeyPairSync('ed448').publicKey)).toEqual([])
  expect(signatureAlgorithmsOf(generateKeyPairSync('x25519').publicKey)).toEqual([])
  expect(signatureAlgorithmsOf(crypto.createSecretKey(Buffer.alloc(32)))).toEqual([])
})

describe('PSS', () => {
  const raw = (saltLength: number, hash = 'sha256') =>
    crypto.sign(hash, Buffer.from(data), { key: rsa.privateKey, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength })

  test('the salt has the length of the hash', () => {
    expect(verify('PS256', rsa.publicKey, data, raw(32))).toBe(true)
    for (const length of [0, 20, 31, 33, 64]) expect(verify('PS256', rsa.publicKey, data, raw(length))).toBe(false)
    expect(verify('PS384', rsa.publicKey, data, raw(48, 'sha384'))).toBe(true)
    expect(verify('PS384', rsa.publicKey, data, raw(32, 'sha384'))).toBe(false)
    expect(verify('PS256', rsa.publicKey, data, raw(32, 'sha384'))).toBe(false)
  })

  test('others verify what is signed here', () => {
    const signature = sign('PS512', rsa.privateKey, data)
    const options = { key: rsa.publicKey, padding: crypto.constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }
    expect(crypto.verify('sha512', Buffer.from(data), options, signature)).toBe(true)
  })

  test('a PKCS#1 signature is none', () => {
    expect(verify('PS256', rsa.publicKey, data, sign('RS256', rsa.privateKey, data))).toBe(false)
    expect(verify('RS256', rsa.publicKey, data, sign('PS256', rsa.privateKey, data))).toBe(false)
  })

  test('a key of type RSA-PSS, with and without parameters', async () => {
    const free = pss({})
    expect(signatureAlgorithmsOf(free.publicKey)).toEqual(['PS256', 'PS384', 'PS512'])
    const bound = pss({ hashAlgorithm: 'sha384', mgf1HashAlgorithm: 'sha384', saltLength: 48 })
    expect(signatureAlgorithmsOf(bound.publicKey)).toEqual(['PS384'])
    expect(signatureAlgorithmsOf(pss({ hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha1', saltLength: 32 }).publicKey)).toEqual([])
    expect(signatureAlgorithmsOf(pss({ hashAlgorithm: 'sha256', mgf1HashAlgorithm: 'sha256', saltLength: 33 }).publicKey)).toEqual([])
    for (const [algorithm, pair] of [
      ['PS256', free],
      ['PS384', bound],
    ] as const) {
      const signature = sign(algorithm, pair.privateKey, data)
      expect(verify(algorithm, pair.publicKey, data, signature)).toBe(true)
      expect(verify(algorithm, pair.publicKey, `${data}.`, signature)).toBe(false)
    }
  })
})

describe('ECDSA', () => {
  const { publicKey, privateKey } = classicalPairs.ES512

  test('the JOSE form is that of IEEE P1363, as another implementation reads and writes it', () => {
    for (let i = 0; i < 40; i++) {
      const signature = sign('ES512', privateKey, `${i}`)
      expect(signature).toHaveLength(132)
      expect(crypto.verify('sha512', Buffer.from(`${i}`), { key: publicKey, dsaEncoding: 'ieee-p1363' }, signature)).toBe(true)
      const theirs = crypto.sign('sha512', Buffer.from(`${i}`), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      expect(verify('ES512', publicKey, `${i}`, theirs)).toBe(true)
    }
  })

  test('the DER form, and no form for the other', () => {
    const signature = sign('ES512', privateKey, data, { format: 'der' })
    expect(signature[0]).toBe(0x30)
    expect(verify('ES512', publicKey, data, signature, { format: 'der' })).toBe(true)
    expect(verify('ES512', publicKey, data, signature)).toBe(false)
    expect(verify('ES512', publicKey, data, sign('ES512', privateKey, data), { format: 'der' })).toBe(false)
    expect(verify('ES512', publicKey, data, Buffer.concat([signature, Buffer.from([0])]), { format: 'der' })).toBe(false)
  })

  test('zero is no signature', () => {
    expect(verify('ES256', classicalPairs.ES256.publicKey, data, Buffer.alloc(64))).toBe(false)
  })

  test('options that do not exist', async () => {
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => sign('ES256', classicalPairs.ES256.privateKey, data, { format: 'raw' as never }))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => sign('ES256', classicalPairs.ES256.privateKey, data, { encoding: 'der' } as never))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => sign('RS256', rsa.privateKey, data, { encoding: 'der' } as never))
  })
})

describe('openssl agrees', () => {
  const folder = temporaryFolder()
  const at = (name: string) => join(folder, name)
  const cases: [keyof typeof classicalPairs, string[]][] = [
    ['RS256', ['-sha256']],
    ['RS512', ['-sha512']],
    ['PS256', ['-sha256', '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:32']],
    ['PS384', ['-sha384', '-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:48']],
    ['ES256', ['-sha256']],
    ['ES384', ['-sha384']],
    ['ES256K', ['-sha256']],
  ]

  test.each(cases)('%s', async (algorithm, args) => {
    const { publicKey, privateKey } = classicalPairs[algorithm]
    const format = { format: 'der' } as const
    writeFileSync(at('data'), data)
    writeFileSync(at('private.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }))
    writeFileSync(at('public.pem'), publicKey.export({ format: 'pem', type: 'spki' }))
    writeFileSync(at('ours'), sign(algorithm, privateKey, data, format))
    expect((await openssl(folder, 'dgst', ...args, '-verify', 'public.pem', '-signature', 'ours', 'data')).toString()).toContain(
      'Verified OK',
    )
    await openssl(folder, 'dgst', ...args, '-sign', 'private.pem', '-out', 'theirs', 'data')
    expect(verify(algorithm, publicKey, data, readFileSync(at('theirs')), format)).toBe(true)
  })

  test('EdDSA', async () => {
    writeFileSync(at('data'), data)
    writeFileSync(at('private.pem'), ed25519.privateKey.export({ format: 'pem', type: 'pkcs8' }))
    await openssl(folder, 'pkeyutl', '-sign', '-inkey', 'private.pem', '-rawin', '-in', 'data', '-out', 'theirs')
    expect(verify('EdDSA', ed25519.publicKey, data, readFileSync(at('theirs')))).toBe(true)
    expect(sign('EdDSA', ed25519.privateKey, data)).toEqual(readFileSync(at('theirs')))
  })
})

test('text that is no well-formed Unicode is not signed', async () => {
  await refusal('ERR_CRYPTO_OPTION_INVALID', () => sign('EdDSA', ed25519.privateKey, '\ud800'))
  await refusal('ERR_CRYPTO_OPTION_INVALID', () => verify('EdDSA', ed25519.publicKey, '\ud800', Buffer.alloc(64)))
})
