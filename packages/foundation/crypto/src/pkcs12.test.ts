import { createHmac, createPrivateKey, pbkdf2Sync, X509Certificate } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { readChildren, readOctets, readSequence, readValue } from './der.ts'
import { loadCertificates, loadTrustAnchors } from './load-certificates.ts'
import { loadKeyPair } from './load-key-pair.ts'
import { der, makeChain, openssl, refusal, temporaryFolder } from './openssl.test-support.ts'
import { loadPrivateKey } from './private-key.ts'
import { loadPublicKey } from './public-key.ts'

const folder = temporaryFolder()
const at = (name: string) => join(folder, name)
const bytes = (name: string) => readFileSync(at(name))
const password = 'pässwörd ✓'

async function exportStore(name: string, ...args: readonly string[]): Promise<void> {
  await openssl(folder, 'pkcs12', '-export', '-out', name, '-passout', `pass:${password}`, ...args)
}

const entry = ['-inkey', 'leaf.key', '-in', 'leaf.pem', '-name', 'orders']

beforeAll(async () => {
  await makeChain(folder)
  await exportStore('modern.p12', ...entry, '-certfile', 'ca.pem')
})

async function expectEntry(name: string): Promise<void> {
  const { privateKey, certificates } = await loadKeyPair({ pkcs12File: at(name), password })
  expect(privateKey.equals(createPrivateKey(bytes('leaf.key')))).toBe(true)
  expect(certificates.map(({ x509 }) => x509.fingerprint256)).toEqual([
    new X509Certificate(bytes('leaf.pem')).fingerprint256,
    new X509Certificate(bytes('ca.pem')).fingerprint256,
  ])
}

describe('stores of openssl', () => {
  test.each([
    ['today’s default, AES-256 and PBKDF2', []],
    ['AES-128', ['-keypbe', 'AES-128-CBC', '-certpbe', 'AES-128-CBC']],
    ['AES-192 and SHA-512', ['-keypbe', 'AES-192-CBC', '-certpbe', 'AES-192-CBC', '-macalg', 'sha512']],
    ['legacy, RC2-40 and 3DES', ['-legacy']],
    ['RC2-128', ['-legacy', '-keypbe', 'PBE-SHA1-RC2-128', '-certpbe', 'PBE-SHA1-RC2-128']],
    ['two-key 3DES', ['-legacy', '-keypbe', 'PBE-SHA1-2DES', '-certpbe', 'PBE-SHA1-2DES']],
    ['a key with RC2-40', ['-legacy', '-keypbe', 'PBE-SHA1-RC2-40', '-certpbe', 'PBE-SHA1-3DES']],
    ['SHA-384 integrity, 50,000 iterations', ['-macalg', 'sha384', '-iter', '50000']],
    ['one iteration', ['-noiter', '-nomaciter']],
    ['certificates in clear', ['-certpbe', 'NONE']],
    ['the key in clear', ['-keypbe', 'NONE']],
  ])('%s', async (_, args) => {
    await exportStore('variant.p12', ...entry, '-certfile', 'ca.pem', ...args)
    await expectEntry('variant.p12')
  })

  test('an RSA key', async () => {
    const own = temporaryFolderOf('rsa')
    await makeChain(own, ['rsa:2048'])
    await openssl(own, 'pkcs12', '-export', '-legacy', '-out', 'rsa.p12', '-passout', 'pass:x', ...entry)
    const { privateKey } = await loadKeyPair({ pkcs12: readFileSync(join(own, 'rsa.p12')), password: 'x' })
    expect(privateKey.asymmetricKeyType).toBe('rsa')
  })

  test('an empty password is a password', async () => {
    await openssl(folder, 'pkcs12', '-export', '-out', 'empty.p12', '-passout', 'pass:', ...entry)
    expect((await loadPrivateKey({ pkcs12File: at('empty.p12'), password: '' })).type).toBe('private')
  })

  test('a password as a secret', async () => {
    expect((await loadPrivateKey({ pkcs12File: at('modern.p12'), password: { reveal: () => password } })).type).toBe('private')
  })
})

function temporaryFolderOf(name: string): string {
  execFileSync('mkdir', ['-p', at(name)])
  return at(name)
}

describe('integrity', () => {
  test('a wrong password, in either generation', async () => {
    await exportStore('legacy.p12', ...entry, '-legacy')
    for (const name of ['modern.p12', 'legacy.p12']) {
      const error = await refusal('ERR_CRYPTO_PASSWORD_WRONG', () => loadPrivateKey({ pkcs12File: at(name), password: 'wrong one' }))
      expect(JSON.stringify([error.message, error.publicMessage])).not.toContain('wrong one')
    }
  })

  test('no password', async () => {
    await refusal('ERR_CRYPTO_PASSWORD_REQUIRED', () => loadPrivateKey({ pkcs12File: at('modern.p12') }))
  })

  test('one changed bit anywhere in the content is refused', async () => {
    const store = bytes('modern.p12')
    const content = readOctets(readChildren(readSequence(readSequence(readValue(store))[1])[1]!)[0])
    const start = store.indexOf(content)
    for (let position = start; position < start + content.length; position += 37) {
      const damaged = Buffer.from(store)
      damaged[position] = (damaged[position] ?? 0) ^ 0x10
      await refusal('ERR_CRYPTO_PASSWORD_WRONG', () => loadPrivateKey({ pkcs12: damaged, password }))
    }
  })

  test('every truncation is refused', async () => {
    const store = bytes('modern.p12')
    for (let length = 0; length < store.length; length += 53) {
      await refusal('ERR_CRYPTO_PKCS12_MALFORMED', () => loadPrivateKey({ pkcs12: store.subarray(0, length), password }))
    }
  })

  test('bytes behind the store', async () => {
    await refusal('ERR_CRYPTO_PKCS12_MALFORMED', () =>
      loadPrivateKey({ pkcs12: Buffer.concat([bytes('modern.p12'), Buffer.from([0])]), password }),
    )
  })

  test('encrypted content without an integrity check', async () => {
    await exportStore('nomac.p12', ...entry, '-nomac')
    await refusal('ERR_CRYPTO_PASSWORD_UNUSED', () => loadPrivateKey({ pkcs12File: at('nomac.p12'), password }))
    await refusal('ERR_CRYPTO_PKCS12_UNSUPPORTED', () => loadPrivateKey({ pkcs12File: at('nomac.p12') }))
  })

  test('a store in clear, without a password', async () => {
    await exportStore('clear.p12', '-nokeys', '-in', 'ca.pem', '-nomac', '-certpbe', 'NONE')
    expect(await loadTrustAnchors({ pkcs12File: at('clear.p12') })).toHaveLength(1)
  })
})

describe('work', () => {
  test('an iteration count beyond the bound is refused before it is done', async () => {
    const store = withIterations(bytes('modern.p12'), 2_000_000_000)
    await refusal('ERR_CRYPTO_WORK_EXCESSIVE', () => loadPrivateKey({ pkcs12: store, password }))
  })

  test('a store larger than the bound', async () => {
    await refusal('ERR_CRYPTO_INPUT_TOO_LARGE', () => loadPrivateKey({ pkcs12: Buffer.alloc(4 * 1024 * 1024 + 1), password }))
  })
})

/** The store with other MAC iterations; the MAC is wrong then, which nobody should find out. */
function withIterations(store: Buffer, iterations: number): Buffer {
  const [version, authSafe, mac] = readSequence(readValue(store))
  const [digestInfo, salt] = readSequence(mac)
  const count = Buffer.alloc(4)
  count.writeUInt32BE(iterations)
  return der(0x30, version!.bytes, authSafe!.bytes, der(0x30, digestInfo!.bytes, salt!.bytes, der(0x02, count)))
}

describe('PBMAC1 (RFC 9579)', () => {
  const oid = (hex: string) => der(0x06, Buffer.from(hex, 'hex'))
  const pbmac1 = (store: Buffer, secret: string) => {
    const [version, authSafe] = readSequence(readValue(store))
    const content = readOctets(readChildren(readSequence(authSafe)[1]!)[0])
    const salt = Buffer.from('0123456789abcdef')
    const mac = createHmac('sha256', pbkdf2Sync(secret, salt, 2048, 32, 'sha256'))
      .update(content)
      .digest()
    const hmacSha256 = der(0x30, oid('2a864886f70d0209'), [0x05, 0x00])
    const kdf = der(0x30, oid('2a864886f70d01050c'), der(0x30, der(0x04, salt), der(0x02, [0x08, 0x00]), der(0x02, [0x20]), hmacSha256))
    const algorithm = der(0x30, oid('2a864886f70d01050e'), der(0x30, kdf, hmacSha256))
    const info = der(0x30, algorithm, der(0x04, mac))
    return der(0x30, version!.bytes, authSafe!.bytes, der(0x30, info, der(0x04, [0]), der(0x02, [1])))
  }

  test('is verified', async () => {
    const store = pbmac1(bytes('modern.p12'), password)
    expect((await loadPrivateKey({ pkcs12: store, password })).type).toBe('private')
    await refusal('ERR_CRYPTO_PASSWORD_WRONG', () => loadPrivateKey({ pkcs12: pbmac1(bytes('modern.p12'), 'other'), password }))
  })
})

describe('BER, as other makers write it', () => {
  test('indefinite lengths and octet strings in pieces', async () => {
    const [version, authSafe, mac] = readSequence(readValue(bytes('modern.p12')))
    const [type, wrapped] = readSequence(authSafe)
    const content = readOctets(readChildren(wrapped!)[0])
    const indefinite = (tag: number, ...parts: readonly Uint8Array[]) =>
      Buffer.concat([Buffer.from([tag, 0x80]), ...parts, Buffer.from([0, 0])])
    const pieces = indefinite(0x24, der(0x04, content.subarray(0, 100)), der(0x04, content.subarray(100)))
    const store = indefinite(0x30, version!.bytes, indefinite(0x30, type!.bytes, indefinite(0xa0, pieces)), mac!.bytes)
    writeFileSync(at('ber.p12'), store)
    await openssl(folder, 'pkcs12', '-in', 'ber.p12', '-passin', `pass:${password}`, '-noenc')
    await expectEntry('ber.p12')
  })

  test('indefinite lengths without end, or without bound', async () => {
    await refusal('ERR_CRYPTO_PKCS12_MALFORMED', () => loadPrivateKey({ pkcs12: Buffer.from([0x30, 0x80, 0x02, 0x01, 0x03]), password }))
    const nested = Buffer.alloc(200_000, Buffer.from([0x30, 0x80]))
    await refusal('ERR_CRYPTO_PKCS12_MALFORMED', () => loadPrivateKey({ pkcs12: nested, password }))
  })
})

describe('aliases', () => {
  beforeAll(async () => {
    const own = temporaryFolderOf('second')
    await makeChain(own)
    copyFileSync(join(own, 'leaf.key'), at('second.key'))
    copyFileSync(join(own, 'leaf.pem'), at('second.pem'))
    await openssl(
      folder,
      'pkcs12',
      '-export',
      '-out',
      'second.p12',
      '-passout',
      'pass:x',
      '-inkey',
      'second.key',
      '-in',
      'second.pem',
      '-name',
      'second',
    )
    await openssl(folder, 'pkcs12', '-export', '-out', 'first.p12', '-passout', 'pass:x', ...entry)
    writeFileSync(at('both.p12'), merge(bytes('first.p12'), bytes('second.p12'), 'x'))
  })

  const both = { pkcs12File: at('both.p12'), password: 'x' }

  test('one of two keys is chosen by its alias', async () => {
    const { privateKey, certificates } = await loadKeyPair({ ...both, alias: 'second' })
    expect(privateKey.equals(createPrivateKey(bytes('second.key')))).toBe(true)
    expect(certificates[0].x509.fingerprint256).toBe(new X509Certificate(bytes('second.pem')).fingerprint256)
    expect((await loadPrivateKey({ ...both, alias: 'orders' })).equals(createPrivateKey(bytes('leaf.key')))).toBe(true)
    expect((await loadPublicKey({ ...both, alias: 'second' })).equals(new X509Certificate(bytes('second.pem')).publicKey)).toBe(true)
    expect(await loadCertificates({ ...both, alias: 'second' })).toHaveLength(1)
  })

  test('no alias, a wrong one, an empty one', async () => {
    const error = await refusal('ERR_CRYPTO_KEY_AMBIGUOUS', () => loadKeyPair(both))
    expect(error.message).toContain('"orders", "second"')
    await refusal('ERR_CRYPTO_ALIAS_UNKNOWN', () => loadKeyPair({ ...both, alias: 'SECOND' }))
    await refusal('ERR_CRYPTO_ALIAS_UNKNOWN', () => loadCertificates({ ...both, alias: 'other' }))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadKeyPair({ ...both, alias: '' }))
  })
})

/** One store with the contents of two, under a new MAC. */
function merge(a: Buffer, b: Buffer, secret: string): Buffer {
  const contentsOf = (store: Buffer) =>
    readSequence(readValue(readOctets(readChildren(readSequence(readSequence(readValue(store))[1])[1]!)[0])))
  const content = der(0x30, ...[...contentsOf(a), ...contentsOf(b)].map((info) => info.bytes))
  const salt = Buffer.from('01234567')
  const hmacSha256 = der(0x30, der(0x06, Buffer.from('2a864886f70d0209', 'hex')), [0x05, 0x00])
  const kdf = der(
    0x30,
    der(0x06, Buffer.from('2a864886f70d01050c', 'hex')),
    der(0x30, der(0x04, salt), der(0x02, [1]), der(0x02, [0x20]), hmacSha256),
  )
  const algorithm = der(0x30, der(0x06, Buffer.from('2a864886f70d01050e', 'hex')), der(0x30, kdf, hmacSha256))
  const mac = createHmac('sha256', pbkdf2Sync(secret, salt, 1, 32, 'sha256'))
    .update(content)
    .digest()
  const data = der(0x30, der(0x06, Buffer.from('2a864886f70d010701', 'hex')), der(0xa0, der(0x04, content)))
  return der(0x30, der(0x02, [3]), data, der(0x30, der(0x30, algorithm, der(0x04, mac)), der(0x04, [0]), der(0x02, [1])))
}

describe('trust stores', () => {
  test('certificates only, legacy: RC2-40', async () => {
    await exportStore('trust.p12', '-legacy', '-nokeys', '-in', 'ca.pem')
    const anchors = await loadTrustAnchors({ pkcs12File: at('trust.p12'), password })
    expect(anchors.map(({ x509 }) => x509.fingerprint256)).toEqual([new X509Certificate(bytes('ca.pem')).fingerprint256])
    await refusal('ERR_CRYPTO_KEY_MISSING', () => loadPrivateKey({ pkcs12File: at('trust.p12'), password }))
    await refusal('ERR_CRYPTO_KEY_MISSING', () => loadKeyPair({ pkcs12File: at('trust.p12'), password }))
  })

  test('a key store does not make its own identity an anchor', async () => {
    const anchors = await loadTrustAnchors({ pkcs12File: at('modern.p12'), password })
    expect(anchors.map(({ x509 }) => x509.fingerprint256)).toEqual([new X509Certificate(bytes('ca.pem')).fingerprint256])
    await exportStore('alone.p12', ...entry)
    await refusal('ERR_CRYPTO_CERTIFICATE_MISSING', () => loadTrustAnchors({ pkcs12File: at('alone.p12'), password }))
    expect(await loadTrustAnchors({ pkcs12File: at('alone.p12'), password, alias: 'orders' })).toHaveLength(1)
  })

  test('every public authority of the runtime, in RC2-40, through and back', async () => {
    const { rootCertificates } = await import('node:tls')
    writeFileSync(at('roots.pem'), rootCertificates.join('\n'))
    await exportStore('roots.p12', '-legacy', '-nokeys', '-in', 'roots.pem')
    const anchors = await loadTrustAnchors({ pkcs12File: at('roots.p12'), password })
    const expected = rootCertificates.map((one) => new X509Certificate(one).fingerprint256)
    expect(anchors.map(({ x509 }) => x509.fingerprint256).toSorted()).toEqual(expected.toSorted())
  })
})

test('node-forge is loaded for RC2 alone', async () => {
  await exportStore('rc2.p12', ...entry, '-legacy')
  await exportStore('plain.p12', ...entry)
  const script = `
    import { createRequire } from 'node:module'
    import { loadPrivateKey } from ${JSON.stringify(new URL('index.ts', import.meta.url).href)}
    const isLoaded = () => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes('node-forge'))
    await loadPrivateKey({ pkcs12File: ${JSON.stringify(at('plain.p12'))}, password: ${JSON.stringify(password)} })
    const before = isLoaded()
    await loadPrivateKey({ pkcs12File: ${JSON.stringify(at('rc2.p12'))}, password: ${JSON.stringify(password)} })
    process.stdout.write(JSON.stringify([before, isLoaded()]))`
  const output = execFileSync(process.execPath, ['--conditions=@portcullis/source', '--input-type=module', '--eval', script])
  expect(JSON.parse(output.toString())).toEqual([false, true])
})
