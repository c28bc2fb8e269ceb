import { createPrivateKey, generateKeyPairSync, type JsonWebKey, type KeyObject } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { beforeAll, describe, expect, test } from 'vitest'
import { der, openssl, refusal, runtimeHas, temporaryFolder } from './openssl.test-support.ts'
import { loadPrivateKey, parsePrivateKey } from './private-key.ts'

const folder = temporaryFolder()
const at = (name: string) => join(folder, name)
const password = 'correct horse ✓'

const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
const pem = (key: KeyObject, type: 'pkcs8' | 'sec1' | 'pkcs1' = 'pkcs8') => key.export({ format: 'pem', type } as never) as string

beforeAll(async () => {
  writeFileSync(at('ec.pem'), pem(ec))
  writeFileSync(at('rsa.pem'), pem(rsa))
})

describe('every form of one key', () => {
  test.each([
    ['PKCS#8 PEM', { pem: pem(ec) }],
    [
      'PKCS#8 PEM as bytes, with CRLF and text around it',
      { pem: Buffer.from(`Bag Attributes\r\n  x: y\r\n${pem(ec).replaceAll('\n', '\r\n')}\r\nbye`) },
    ],
    ['SEC 1 PEM', { pem: pem(ec, 'sec1') }],
    ['PKCS#8 DER', { der: ec.export({ format: 'der', type: 'pkcs8' }) }],
    ['SEC 1 DER', { der: ec.export({ format: 'der', type: 'sec1' }) }],
    ['JWK', { jwk: ec.export({ format: 'jwk' }) }],
    ['key object', ec],
    [
      'encrypted PEM of the runtime',
      { pem: ec.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: password }) as string, password },
    ],
    [
      'encrypted DER of the runtime',
      { der: ec.export({ format: 'der', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: password }), password },
    ],
  ])('%s', (_, source) => {
    expect(parsePrivateKey(source).equals(ec)).toBe(true)
  })

  test.each([
    ['PKCS#1 PEM', { pem: pem(rsa, 'pkcs1') }],
    ['PKCS#1 DER', { der: rsa.export({ format: 'der', type: 'pkcs1' }) }],
    ['JWK', { jwk: rsa.export({ format: 'jwk' }) }],
  ])('RSA: %s', (_, source) => {
    expect(parsePrivateKey(source).equals(rsa)).toBe(true)
  })

  test.each([
    ['PBES2, AES-256', ['pkcs8', '-topk8', '-v2', 'aes-256-cbc']],
    ['PBES2, AES-128 and HMAC-SHA-512', ['pkcs8', '-topk8', '-v2', 'aes-128-cbc', '-v2prf', 'hmacWithSHA512']],
    ['PBES2, 3DES', ['pkcs8', '-topk8', '-v2', 'des3']],
    ['PBES2, scrypt', ['pkcs8', '-topk8', '-scrypt']],
    ['PKCS#12 scheme, 3DES', ['pkcs8', '-topk8', '-v1', 'PBE-SHA1-3DES']],
    ['traditional encryption', ['ec', '-aes256']],
  ])('encrypted by openssl: %s', async (_, args) => {
    await openssl(folder, ...args, '-in', 'ec.pem', '-out', 'encrypted.pem', '-passout', `pass:${password}`)
    const key = await loadPrivateKey({ pemFile: at('encrypted.pem'), password: { reveal: () => password } })
    expect(key.equals(ec)).toBe(true)
    const error = await refusal('ERR_CRYPTO_PASSWORD_WRONG', () => loadPrivateKey({ pemFile: at('encrypted.pem'), password: 'wrong one' }))
    expect(inspect(error)).not.toContain('wrong one')
    await refusal('ERR_CRYPTO_PASSWORD_REQUIRED', () => loadPrivateKey({ pemFile: at('encrypted.pem') }))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadPrivateKey({ pemFile: at('encrypted.pem'), password: '' }))
  })

  test.each([
    ['ed25519', generateKeyPairSync('ed25519')],
    ['ed448', generateKeyPairSync('ed448')],
    ['x25519', generateKeyPairSync('x25519')],
    ['P-384', generateKeyPairSync('ec', { namedCurve: 'P-384' })],
    ['P-521', generateKeyPairSync('ec', { namedCurve: 'P-521' })],
    ['rsa-pss', generateKeyPairSync('rsa-pss', { modulusLength: 2048 })],
  ])('a key of type %s', (_, { privateKey }) => {
    expect(parsePrivateKey({ pem: pem(privateKey) }).equals(privateKey)).toBe(true)
  })

  test('a DER file', async () => {
    writeFileSync(at('ec.der'), ec.export({ format: 'der', type: 'pkcs8' }))
    expect((await loadPrivateKey({ derFile: at('ec.der') })).equals(ec)).toBe(true)
  })
})

test('encryption that no runtime of today reads is not called a wrong password', async () => {
  const legacy = ['-provider', 'legacy', '-provider', 'default', '-in', 'ec.pem', '-passout', 'pass:x']
  await openssl(folder, 'pkcs8', '-topk8', '-v1', 'PBE-SHA1-RC2-40', ...legacy, '-out', 'rc2.pem')
  await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => loadPrivateKey({ pemFile: at('rc2.pem'), password: 'x' }))
  await openssl(folder, 'ec', '-des', ...legacy, '-out', 'des.pem')
  await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => loadPrivateKey({ pemFile: at('des.pem'), password: 'x' }))
})

test('a wrong password is told in one way, whatever its padding looks like', async () => {
  const encrypted = ec.export({ format: 'der', type: 'pkcs8', cipher: 'aes-128-cbc', passphrase: password })
  for (let i = 0; i < 600; i++)
    await refusal('ERR_CRYPTO_PASSWORD_WRONG', () => parsePrivateKey({ der: encrypted, password: `wrong ${i}` }))
})

describe('what is no private key', () => {
  test('nothing of the kind, several of it, another format', async () => {
    await refusal('ERR_CRYPTO_KEY_MISSING', () => parsePrivateKey({ pem: 'no key' }))
    await refusal('ERR_CRYPTO_KEY_MISSING', () => parsePrivateKey({ pem: '' }))
    await refusal('ERR_CRYPTO_KEY_AMBIGUOUS', () => parsePrivateKey({ pem: pem(ec) + pem(rsa) }))
    await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => parsePrivateKey({ pem: pem(ec).replaceAll('PRIVATE KEY', 'OPENSSH PRIVATE KEY') }))
    await refusal('ERR_CRYPTO_KEY_MALFORMED', () =>
      parsePrivateKey({ pem: '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----' }),
    )
    await refusal('ERR_CRYPTO_KEY_MALFORMED', () => parsePrivateKey({ der: Buffer.from('junk') }))
    await refusal('ERR_CRYPTO_KEY_MALFORMED', () => parsePrivateKey({ der: new Uint8Array() }))
  })

  test('a damaged PEM is not taken for a shorter one', async () => {
    const text = pem(ec)
    await refusal('ERR_CRYPTO_PEM_MALFORMED', () => parsePrivateKey({ pem: text.slice(0, -40) }))
    await refusal('ERR_CRYPTO_PEM_MALFORMED', () => parsePrivateKey({ pem: text + text.slice(0, 60) }))
    await refusal('ERR_CRYPTO_PEM_MALFORMED', () => parsePrivateKey({ pem: text.replace('M', '!') }))
    await refusal('ERR_CRYPTO_PEM_MALFORMED', () =>
      parsePrivateKey({ pem: text.replace('-----BEGIN', '----- BEGIN').replace('-----END', ' -----END') }),
    )
    await refusal('ERR_CRYPTO_PEM_MALFORMED', () => parsePrivateKey({ pem: text.replace('END PRIVATE', 'END PUBLIC') }))
    await refusal('ERR_CRYPTO_INPUT_TOO_LARGE', () => parsePrivateKey({ pem: 'x'.repeat(4 * 1024 * 1024 + 1) }))
  })

  test('a public or secret key', async () => {
    const { publicKey } = generateKeyPairSync('ed25519')
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePrivateKey(publicKey))
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePrivateKey({ der: publicKey.export({ format: 'der', type: 'spki' }) }))
    const { d: _, ...publicPart } = ec.export({ format: 'jwk' })
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePrivateKey({ jwk: publicPart }))
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () => parsePrivateKey({ jwk: { kty: 'oct', k: 'AAAA' } }))
  })

  test('a password for a key that is not encrypted', async () => {
    await refusal('ERR_CRYPTO_PASSWORD_UNUSED', () => loadPrivateKey({ pemFile: at('ec.pem'), password }))
    await refusal('ERR_CRYPTO_PASSWORD_UNUSED', () => parsePrivateKey({ der: ec.export({ format: 'der', type: 'pkcs8' }), password }))
  })

  test('files', async () => {
    const error = await refusal('ERR_CRYPTO_FILE_UNREADABLE', () => loadPrivateKey({ pemFile: at('none.pem') }))
    expect(error).toMatchObject({ family: 'configuration', cause: { code: 'ENOENT' } })
    await refusal('ERR_CRYPTO_FILE_UNREADABLE', () => loadPrivateKey({ pemFile: folder }))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadPrivateKey({ pemFile: '' }))
    await refusal('ERR_CRYPTO_INPUT_TOO_LARGE', () => loadPrivateKey({ pemFile: '/dev/zero' }))
  })

  test('sources that say nothing, too much or something else', async () => {
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadPrivateKey({} as never))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadPrivateKey(undefined as never))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadPrivateKey(pem(ec) as never))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => loadPrivateKey({ pem: pem(ec), pemFile: at('ec.pem') } as never))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => loadPrivateKey({ pem: pem(ec), pasword: 'x' } as never))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => loadPrivateKey({ jwk: {}, password: 'x' } as never))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadPrivateKey({ pem: 7 } as never))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadPrivateKey({ der: 'text' } as never))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadPrivateKey({ jwk: null } as never))
    const encrypted = ec.export({ format: 'pem', type: 'pkcs8', cipher: 'aes-256-cbc', passphrase: password }) as string
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadPrivateKey({ pem: encrypted, password: 7 } as never))
  })
})

describe('strength', () => {
  const accept = (key: KeyObject) => parsePrivateKey({ pem: pem(key) })

  test('short RSA keys and unsound exponents', async () => {
    await refusal('ERR_CRYPTO_KEY_WEAK', () => accept(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey))
    await refusal('ERR_CRYPTO_KEY_WEAK', () => accept(generateKeyPairSync('rsa', { modulusLength: 2040 }).privateKey))
    await refusal('ERR_CRYPTO_KEY_WEAK', () => accept(generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 3 }).privateKey))
    await refusal('ERR_CRYPTO_KEY_WEAK', () =>
      parsePrivateKey(generateKeyPairSync('rsa', { modulusLength: 2048, publicExponent: 257 }).privateKey),
    )
  })

  test('other curves and key types', async () => {
    await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => accept(generateKeyPairSync('ec', { namedCurve: 'P-224' }).privateKey))
    await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => accept(generateKeyPairSync('ec', { namedCurve: 'brainpoolP256r1' }).privateKey))
    await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () =>
      accept(generateKeyPairSync('dsa', { modulusLength: 2048, divisorLength: 256 }).privateKey),
    )
    if (runtimeHas('ml-kem-768')) await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => accept(generateKeyPairSync('ml-kem-768').privateKey))
  })

  test('secp256k1 where it is asked for', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'secp256k1' })
    await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => accept(privateKey))
    expect(parsePrivateKey({ pem: pem(privateKey) }, { alsoCurves: ['secp256k1'] }).equals(privateKey)).toBe(true)
    await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () =>
      parsePrivateKey(generateKeyPairSync('ec', { namedCurve: 'P-224' }).privateKey, { alsoCurves: ['secp224r1'] as never }),
    )
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => parsePrivateKey({ pem: pem(privateKey) }, { curves: ['secp256k1'] } as never))
  })

  test('work demanded by a file is bounded', async () => {
    const iterations = (count: number[]) => {
      const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'))
      const kdf = der(0x30, oid('2a864886f70d01050c'), der(0x30, der(0x04, Buffer.alloc(8)), der(0x02, count)))
      const aes = der(0x30, oid('60864801650304012a'), der(0x04, Buffer.alloc(16)))
      return der(0x30, der(0x30, oid('2a864886f70d01050d'), der(0x30, kdf, aes)), der(0x04, Buffer.alloc(32)))
    }
    await refusal('ERR_CRYPTO_WORK_EXCESSIVE', () => parsePrivateKey({ der: iterations([0x7f, 0xff, 0xff, 0xff]), password }))
    await refusal('ERR_CRYPTO_PASSWORD_WRONG', () => parsePrivateKey({ der: iterations([0x08, 0x00]), password }))
    const scrypt = (parallelism: number[]) => {
      const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'))
      const kdf = der(
        0x30,
        oid('2b06010401da47040b'),
        der(0x30, der(0x04, Buffer.alloc(8)), der(0x02, [0x40, 0x00]), der(0x02, [8]), der(0x02, parallelism)),
      )
      const aes = der(0x30, oid('60864801650304012a'), der(0x04, Buffer.alloc(16)))
      return der(0x30, der(0x30, oid('2a864886f70d01050d'), der(0x30, kdf, aes)), der(0x04, Buffer.alloc(32)))
    }
    await refusal('ERR_CRYPTO_WORK_EXCESSIVE', () => parsePrivateKey({ der: scrypt([0x00, 0xff, 0xff]), password }))
    await refusal('ERR_CRYPTO_PASSWORD_WRONG', () => parsePrivateKey({ der: scrypt([0x01]), password }))
  })
})

describe('JWK', () => {
  const jwk = ec.export({ format: 'jwk' })
  const rsaJwk = rsa.export({ format: 'jwk' })
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })

  const otherRsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({ format: 'jwk' })

  test('spellings that are not canonical', async () => {
    const last = (text = '') =>
      `${text.slice(0, -1)}${text.endsWith('A') ? 'B' : String.fromCharCode(text.charCodeAt(text.length - 1) + 1)}`
    const spellings: JsonWebKey[] = [
      { ...jwk, d: `${jwk.d}=` },
      { ...jwk, d: ` ${jwk.d}` },
      { ...jwk, d: `${jwk.d}\n` },
      { ...jwk, d: last(jwk.d) },
      { ...jwk, x: Buffer.from(jwk.x!, 'base64url').toString('base64') },
      { ...jwk, d: '' },
      { ...jwk, y: 7 as never },
    ]
    for (const spelling of spellings) await refusal('ERR_CRYPTO_KEY_MALFORMED', () => parsePrivateKey({ jwk: spelling }))
  })

  test('missing and inherited members, unknown types, several primes', async () => {
    await refusal('ERR_CRYPTO_KEY_MALFORMED', () => parsePrivateKey({ jwk: { ...jwk, crv: undefined as never } }))
    await refusal('ERR_CRYPTO_KEY_WRONG_KIND', () =>
      parsePrivateKey({ jwk: Object.assign(Object.create({ d: jwk.d }), { ...jwk, d: undefined }) as JsonWebKey }),
    )
    await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => parsePrivateKey({ jwk: { ...jwk, kty: 'toString' } }))
    await refusal('ERR_CRYPTO_KEY_UNSUPPORTED', () => parsePrivateKey({ jwk: { ...rsaJwk, oth: [] } as JsonWebKey }))
    await refusal('ERR_CRYPTO_KEY_MALFORMED', () => parsePrivateKey({ jwk: { ...jwk, crv: 'P-999' } }))
  })

  test('parts of two keys', async () => {
    await expect(loadPrivateKey({ jwk: { ...jwk, d: other.d! } })).rejects.toMatchObject({
      code: expect.stringMatching(/INCONSISTENT|MALFORMED/),
    })
    await expect(loadPrivateKey({ jwk: { ...rsaJwk, n: otherRsa.n! } })).rejects.toMatchObject({
      code: expect.stringMatching(/INCONSISTENT|MALFORMED/),
    })
    const mixed = Buffer.from(ec.export({ format: 'der', type: 'pkcs8' }))
    mixed.set(Buffer.from(other.d!, 'base64url'), mixed.indexOf(Buffer.from(jwk.d!, 'base64url')))
    expect(() => createPrivateKey({ key: mixed, format: 'der', type: 'pkcs8' })).not.toThrow()
    await refusal('ERR_CRYPTO_KEY_INCONSISTENT', () => parsePrivateKey({ der: mixed }))
  })

  test('a point that is not on the curve', async () => {
    await refusal('ERR_CRYPTO_KEY_MALFORMED', () => parsePrivateKey({ jwk: { ...jwk, y: jwk.x! } }))
  })
})
