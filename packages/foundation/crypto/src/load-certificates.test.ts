import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { loadCertificates, loadTrustAnchors } from './load-certificates.ts'
import { loadKeyPair } from './load-key-pair.ts'
import { makeChain, openssl, refusal, temporaryFolder } from './openssl.test-support.ts'

const folder = temporaryFolder()
const otherFolder = temporaryFolder()
const at = (name: string) => join(folder, name)
const read = (name: string) => readFileSync(at(name), 'utf8')

beforeAll(async () => {
  await makeChain(folder)
  await makeChain(otherFolder)
  await openssl(folder, 'x509', '-in', 'leaf.pem', '-outform', 'DER', '-out', 'leaf.der')
})

const names = (list: readonly { x509: X509Certificate }[]) => list.map(({ x509 }) => x509.subject.replaceAll('\n', '/'))
const leaf = 'O=Example/CN=orders'
const authority = 'O=Example/CN=Example CA'

describe('loadCertificates', () => {
  test('from every source, in its order', async () => {
    expect(names(await loadCertificates({ pem: read('leaf.pem') + read('ca.pem') }))).toEqual([leaf, authority])
    expect(names(await loadCertificates({ pemFile: at('ca.pem') }))).toEqual([authority])
    expect(names(await loadCertificates({ derFile: at('leaf.der') }))).toEqual([leaf])
    expect(names(await loadCertificates(new X509Certificate(read('leaf.pem'))))).toEqual([leaf])
    expect(names(await loadCertificates([new X509Certificate(read('ca.pem')), new X509Certificate(read('leaf.pem'))]))).toEqual([
      authority,
      leaf,
    ])
  })

  test('a file with nothing in it, or the wrong thing', async () => {
    await refusal('ERR_CRYPTO_CERTIFICATE_MISSING', () => loadCertificates({ pem: '' }))
    await refusal('ERR_CRYPTO_CERTIFICATE_MISSING', () => loadCertificates({ pemFile: at('leaf.key') }))
    await refusal('ERR_CRYPTO_CERTIFICATE_MISSING', () => loadTrustAnchors([]))
    await refusal('ERR_CRYPTO_PEM_MALFORMED', () => loadTrustAnchors({ pem: read('ca.pem') + read('leaf.pem').slice(0, 200) }))
    await refusal('ERR_CRYPTO_CERTIFICATE_MALFORMED', () =>
      loadTrustAnchors({ pem: read('ca.pem').replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE') }),
    )
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => loadTrustAnchors({ pem: read('ca.pem'), password: 'x' } as never))
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadTrustAnchors(read('ca.pem') as never))
  })
})

describe('loadKeyPair', () => {
  const key = { pemFile: at('leaf.key') }

  test('from two files, wherever the certificate stands', async () => {
    writeFileSync(at('chain.pem'), read('ca.pem') + read('leaf.pem'))
    const { privateKey, certificates } = await loadKeyPair({ key, certificates: { pemFile: at('chain.pem') } })
    expect(names(certificates)).toEqual([leaf, authority])
    expect(certificates[0].x509.checkPrivateKey(privateKey)).toBe(true)
    expect(Object.isFrozen(certificates)).toBe(true)
  })

  test('from one PEM, also encrypted', async () => {
    expect(names((await loadKeyPair({ pem: read('leaf.key') + read('leaf.pem') })).certificates)).toEqual([leaf])
    await openssl(folder, 'pkcs8', '-topk8', '-in', 'leaf.key', '-out', 'leaf.enc.key', '-passout', 'pass:x')
    writeFileSync(at('bundle.pem'), read('leaf.pem') + read('leaf.enc.key') + read('ca.pem'))
    expect(names((await loadKeyPair({ pemFile: at('bundle.pem'), password: 'x' })).certificates)).toEqual([leaf, authority])
  })

  test('certificates of other chains are left out', async () => {
    const stranger = readFileSync(join(otherFolder, 'ca.pem'), 'utf8')
    expect((await loadKeyPair({ key, certificates: { pem: stranger + read('leaf.pem') } })).certificates).toHaveLength(1)
  })

  test('a certificate of another key', async () => {
    const error = await refusal('ERR_CRYPTO_CERTIFICATE_MISMATCH', () =>
      loadKeyPair({ key, certificates: { pemFile: join(otherFolder, 'leaf.pem') } }),
    )
    expect(error.family).toBe('configuration')
  })

  test('half a source, or one and a half', async () => {
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => loadKeyPair({ key } as never))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => loadKeyPair({ key, certificates: { pem: '' }, password: 'x' } as never))
  })
})
