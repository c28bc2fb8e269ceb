import type { KeyObject } from 'node:crypto'
import { parseCertificates, type Certificate } from './certificate.ts'
import { CryptoError } from './errors.ts'
import type { KeyOptions } from './key-check.ts'
import { formOf, readSourceFile, type KeyPairSource } from './key-source.ts'
import { loadCertificates } from './load-certificates.ts'
import { loadPrivateKey, parsePrivateKey } from './private-key.ts'

/** A private key and the certificates that speak for it. */
export interface KeyPair {
  readonly privateKey: KeyObject
  /** The certificate of the key first, then that of each issuer as far as the source has them. Never empty. */
  readonly certificates: readonly [Certificate, ...Certificate[]]
}

/**
 * Loads a private key with its certificate chain: from two sources, from a PEM that holds both, or from a PKCS#12
 * store.
 *
 * The certificate is the one whose public key belongs to the private key, wherever it stands in the source; its
 * issuers follow in order, and certificates that are not in this chain are left out. Throws
 * `ERR_CRYPTO_CERTIFICATE_MISMATCH` if there is none, and what `loadPrivateKey` and `loadCertificates` throw.
 */
export async function loadKeyPair(source: KeyPairSource, options: KeyOptions = {}): Promise<KeyPair> {
  formOf('loadKeyPair()', source, ['key', 'pem', 'pemFile', 'pkcs12', 'pkcs12File'], true)
  if ('key' in source) {
    const [privateKey, certificates] = await Promise.all([loadPrivateKey(source.key, options), loadCertificates(source.certificates)])
    return pair(privateKey, certificates)
  }
  if ('pkcs12' in source || 'pkcs12File' in source) {
    const { openPkcs12, chooseKey } = await import('./pkcs12.ts')
    const store = await openPkcs12(source)
    const { key, certificate } = chooseKey(store, source.alias)
    const others = store.certificates.map((entry) => entry.certificate)
    return pair(parsePrivateKey(key, options), certificate === undefined ? others : [certificate.certificate, ...others])
  }
  const pem = 'pem' in source ? source.pem : await readSourceFile(source.pemFile)
  return pair(parsePrivateKey({ pem, password: source.password }, options), parseCertificates(pem))
}

function pair(privateKey: KeyObject, certificates: readonly Certificate[]): KeyPair {
  const own = certificates.find(({ x509 }) => x509.checkPrivateKey(privateKey))
  if (own === undefined)
    throw new CryptoError('ERR_CRYPTO_CERTIFICATE_MISMATCH', 'No certificate of the source belongs to the private key.')
  const chain: [Certificate, ...Certificate[]] = [own]
  for (let last: Certificate | undefined = own; last !== undefined;) {
    const { x509 }: Certificate = last
    last = certificates.find((one) => x509.checkIssued(one.x509) && !chain.some(({ thumbprint }) => thumbprint === one.thumbprint))
    if (last !== undefined) chain.push(last)
  }
  return Object.freeze({ privateKey, certificates: Object.freeze(chain) })
}
