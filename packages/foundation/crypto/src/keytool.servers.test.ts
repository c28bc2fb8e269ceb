import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { loadCertificates, loadTrustAnchors } from './load-certificates.ts'
import { loadKeyPair } from './load-key-pair.ts'
import { makeChain, openssl, refusal, run, temporaryFolder } from './openssl.test-support.ts'
import { loadPublicKey } from './public-key.ts'
import { sign } from './sign.ts'
import { verify } from './verify.ts'

// Each call of keytool starts a Java of its own, and Java demands many iterations.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 120_000 })

const folder = temporaryFolder()
const at = (name: string) => join(folder, name)
const password = 'changeit'

/** Runs Java's keytool on a PKCS#12 store of this folder. */
async function keytool(store: string, ...args: readonly string[]): Promise<void> {
  await run('keytool', folder, ['-keystore', store, '-storetype', 'PKCS12', '-storepass', password, ...args])
}

const generations: [string, string[]][] = [
  ['as Java writes it today', []],
  ['as Java wrote it until 2020', ['-J-Dkeystore.pkcs12.legacy']],
]

describe.each(generations)('stores of keytool, %s', (_, generation) => {
  const store = `keys${generation.length}.p12`
  const source = { pkcs12File: at(store), password }

  beforeAll(async () => {
    const genkey = (alias: string, ...args: string[]) =>
      keytool(store, ...generation, '-genkeypair', '-alias', alias, '-dname', `CN=${alias},O=Example`, '-validity', '30', ...args)
    await genkey('orders', '-keyalg', 'RSA', '-keysize', '2048', '-ext', 'san=dns:orders.example')
    await genkey('billing', '-keyalg', 'EC', '-groupname', 'secp256r1')
  })

  test('two keys, chosen by alias', async () => {
    const orders = await loadKeyPair({ ...source, alias: 'orders' })
    expect(orders.certificates[0].subjectAltNames.dns).toEqual(['orders.example'])
    expect(orders.privateKey.asymmetricKeyType).toBe('rsa')
    const billing = await loadKeyPair({ ...source, alias: 'billing' })
    const signature = sign('ES256', billing.privateKey, 'x')
    expect(verify('ES256', await loadPublicKey({ ...source, alias: 'billing' }), 'x', signature)).toBe(true)
  })

  test('no alias, a wrong password', async () => {
    await refusal('ERR_CRYPTO_KEY_AMBIGUOUS', () => loadKeyPair(source))
    await refusal('ERR_CRYPTO_PASSWORD_WRONG', () => loadKeyPair({ ...source, password: 'changeIt', alias: 'orders' }))
  })
})

describe.each(generations)('trust stores of keytool, %s', (_, generation) => {
  const store = `trust${generation.length}.p12`

  test('certificates only', async () => {
    await makeChain(folder)
    await keytool(store, ...generation, '-importcert', '-noprompt', '-alias', 'first', '-file', 'ca.pem')
    await keytool(store, ...generation, '-importcert', '-noprompt', '-alias', 'second', '-file', 'leaf.pem')
    const source = { pkcs12File: at(store), password }
    expect(await loadTrustAnchors(source)).toHaveLength(2)
    const [first] = await loadCertificates({ ...source, alias: 'first' })
    expect(first?.x509.fingerprint256).toBe(new X509Certificate(readFileSync(at('ca.pem'))).fingerprint256)
  })
})

test('a trust store without a password, as Java ships its own', async () => {
  await makeChain(folder)
  const clear = ['-J-Dkeystore.pkcs12.macAlgorithm=NONE', '-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE']
  await keytool('clear.p12', ...clear, '-importcert', '-noprompt', '-alias', 'ca', '-file', 'ca.pem')
  expect(await loadTrustAnchors({ pkcs12File: at('clear.p12') })).toHaveLength(1)
  await refusal('ERR_CRYPTO_PASSWORD_UNUSED', () => loadTrustAnchors({ pkcs12File: at('clear.p12'), password }))
})

test('Java reads the same key as openssl and this package', async () => {
  await makeChain(folder)
  await openssl(
    folder,
    'pkcs12',
    '-export',
    '-inkey',
    'leaf.key',
    '-in',
    'leaf.pem',
    '-name',
    'orders',
    '-out',
    'openssl.p12',
    '-passout',
    `pass:${password}`,
  )
  await run('keytool', folder, [
    '-importkeystore',
    '-srckeystore',
    'openssl.p12',
    '-srcstorepass',
    password,
    '-destkeystore',
    'java.p12',
    '-deststoretype',
    'PKCS12',
    '-deststorepass',
    password,
  ])
  const [theirs, ours] = await Promise.all(['java.p12', 'openssl.p12'].map(async (name) => loadKeyPair({ pkcs12File: at(name), password })))
  expect(theirs?.privateKey.equals(ours!.privateKey)).toBe(true)
  expect(theirs?.certificates[0].thumbprint).toBe(ours?.certificates[0].thumbprint)
})
