import { X509Certificate } from 'node:crypto'
import { parseCertificate, parseCertificates, type Certificate } from './certificate.ts'
import { CryptoError } from './errors.ts'
import { formOf, readSourceFile, type CertificateSource, type Pkcs12FileSource, type Pkcs12Source } from './key-source.ts'
import type { Pkcs12 } from './pkcs12.ts'

/**
 * Loads certificates from PEM (one or many), DER, a PKCS#12 store or certificate objects, in the order of the source.
 *
 * Of a store all certificates, or those with the alias. They are read, not judged: see {@link Certificate}.
 * Throws `ERR_CRYPTO_CERTIFICATE_*`, `ERR_CRYPTO_PEM_MALFORMED`, `ERR_CRYPTO_PKCS12_*`, `ERR_CRYPTO_FILE_UNREADABLE`.
 */
export async function loadCertificates(source: CertificateSource): Promise<readonly Certificate[]> {
  return load('loadCertificates()', source, ({ certificates }) => certificates)
}

/**
 * Loads the certificates that chains may end in, from the same sources as {@link loadCertificates}.
 *
 * Of a PKCS#12 store without an alias: the certificates that belong to no private key of it, so that a key store
 * given by mistake does not make its own identity an anchor. That an anchor may issue, is still valid and has a strong
 * key is judged when a chain is verified. Throws `ERR_CRYPTO_CERTIFICATE_MISSING` if nothing is left.
 */
export async function loadTrustAnchors(source: CertificateSource): Promise<readonly Certificate[]> {
  return load('loadTrustAnchors()', source, ({ keys, certificates }) =>
    certificates.filter(({ certificate }) => !keys.some(({ key }) => certificate.x509.checkPrivateKey(key))),
  )
}

type Choice = (store: Pkcs12) => Pkcs12['certificates']

async function load(where: string, source: CertificateSource, choice: Choice): Promise<readonly Certificate[]> {
  const certificates = await read(where, source, choice)
  if (certificates.length === 0) throw new CryptoError('ERR_CRYPTO_CERTIFICATE_MISSING', 'The source holds no certificate.')
  return Object.freeze([...certificates])
}

async function read(where: string, source: CertificateSource, choice: Choice): Promise<readonly Certificate[]> {
  if (source instanceof X509Certificate) return [parseCertificate(source)]
  if (isList(source)) return source.map((one) => parseCertificate(one))
  formOf(where, source, ['pem', 'pemFile', 'der', 'derFile', 'pkcs12', 'pkcs12File'], false)
  if ('pem' in source) return parseCertificates(source.pem)
  if ('pemFile' in source) return parseCertificates(await readSourceFile(source.pemFile))
  if ('der' in source) return [parseCertificate(source.der)]
  if ('derFile' in source) return [parseCertificate(await readSourceFile(source.derFile))]
  return fromStore(source, choice)
}

async function fromStore(source: Pkcs12Source | Pkcs12FileSource, choice: Choice): Promise<readonly Certificate[]> {
  const { openPkcs12, withAlias } = await import('./pkcs12.ts')
  const store = await openPkcs12(source)
  const entries = source.alias === undefined ? choice(store) : withAlias(store.certificates, source.alias)
  return entries.map(({ certificate }) => certificate)
}

function isList(source: CertificateSource): source is readonly X509Certificate[] {
  return Array.isArray(source)
}
