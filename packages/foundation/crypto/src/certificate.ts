import { X509Certificate } from 'node:crypto'
import { decodeAscii } from './der-text.ts'
import { DerError, readChildren, readOctets, readOid, readSequence, readValue, tags, type DerValue } from './der.ts'
import { readName, type DistinguishedName } from './distinguished-name.ts'
import { CryptoError } from './errors.ts'
import { invalid } from './options.ts'
import { pemBlocks } from './pem.ts'
import { certificateThumbprint } from './thumbprint.ts'

/** The names of a certificate's subjectAltName extension, decoded one by one and never joined. */
export interface SubjectAltNames {
  readonly dns: readonly string[]
  readonly email: readonly string[]
  readonly uri: readonly string[]
  /** IPv4 in dotted form, IPv6 in eight groups without abbreviation. */
  readonly ip: readonly string[]
  readonly directory: readonly DistinguishedName[]
  /** How many names are of other kinds (such as otherName), which are not decoded. */
  readonly others: number
}

/**
 * A certificate with its names as decoded values. It was only read: neither its signature nor its chain, dates or
 * revocation were checked. Immutable, and safe to keep.
 */
export interface Certificate {
  readonly x509: X509Certificate
  readonly subject: DistinguishedName
  readonly issuer: DistinguishedName
  readonly subjectAltNames: SubjectAltNames
  /** The extended key usages as object identifiers; `undefined` if the certificate does not restrict them. See {@link keyUsages}. */
  readonly extendedKeyUsages: readonly string[] | undefined
  readonly isAuthority: boolean
  readonly notBefore: Date
  /** The last second in which the certificate is valid. */
  readonly notAfter: Date
  /** SHA-256 of the DER bytes as base64url (`x5t#S256`). */
  readonly thumbprint: string
}

/** The extended key usages of RFC 5280 section 4.2.1.12 that matter here. */
export const keyUsages = {
  serverAuth: '1.3.6.1.5.5.7.3.1',
  clientAuth: '1.3.6.1.5.5.7.3.2',
  any: '2.5.29.37.0',
} as const

// A certificate has a few kilobytes, one with a post-quantum signature ten; a TLS record limits a whole chain to 100.
const maxCertificateBytes = 102_400
// Real ones have up to a few hundred names, behind content delivery networks.
const maxAltNames = 2048

/**
 * Reads one certificate from PEM, DER or a certificate object, and decodes its names from the DER itself.
 *
 * A name is a value, whatever is written in it: the DNS name `a, DNS:b` stays one name. Names with control characters
 * or with bytes that their type does not allow make the certificate malformed.
 * Throws `ERR_CRYPTO_CERTIFICATE_MALFORMED`, `_MISSING`, `ERR_CRYPTO_INPUT_TOO_LARGE`.
 */
export function parseCertificate(source: X509Certificate | Uint8Array | string): Certificate {
  if (source instanceof X509Certificate) return decode(source)
  if (typeof source !== 'string' && !(source instanceof Uint8Array))
    throw invalid('A certificate is a PEM text, DER bytes or a certificate object.')
  if (typeof source === 'string' || isPem(source)) {
    const [certificate, ...rest] = parseCertificates(source)
    if (certificate === undefined || rest.length > 0) throw malformed('The PEM text holds several certificates, and one was asked for.')
    return certificate
  }
  if (source.length > maxCertificateBytes) {
    throw new CryptoError('ERR_CRYPTO_INPUT_TOO_LARGE', `A certificate is larger than ${maxCertificateBytes} bytes.`)
  }
  return decode(fromDer(source))
}

/** Reads all certificates of a PEM text in their order; keys in it are passed over. Throws `ERR_CRYPTO_CERTIFICATE_MISSING` if there is none. */
export function parseCertificates(pem: string | Uint8Array): Certificate[] {
  const blocks = pemBlocks(pem).filter(({ label }) => label.endsWith('CERTIFICATE'))
  if (blocks.length === 0) throw new CryptoError('ERR_CRYPTO_CERTIFICATE_MISSING', 'The PEM text holds no certificate.')
  return blocks.map(({ label, bytes }) => {
    // OpenSSL's TRUSTED CERTIFICATE carries trust settings that would be lost without a word.
    if (label !== 'CERTIFICATE') throw malformed(`A block ${label} is not supported.`)
    return parseCertificate(bytes)
  })
}

function isPem(source: Uint8Array): boolean {
  return source[0] !== tags.sequence
}

function fromDer(der: Uint8Array): X509Certificate {
  let x509: X509Certificate
  try {
    x509 = new X509Certificate(der)
  } catch (cause) {
    throw new CryptoError('ERR_CRYPTO_CERTIFICATE_MALFORMED', 'The certificate cannot be decoded.', { cause })
  }
  if (x509.raw.length !== der.length) throw malformed('There are bytes behind the certificate.')
  return x509
}

function decode(x509: X509Certificate): Certificate {
  try {
    return Object.freeze({
      x509,
      ...decodeTbs(x509.raw),
      isAuthority: x509.ca,
      notBefore: x509.validFromDate,
      notAfter: x509.validToDate,
      thumbprint: certificateThumbprint(x509),
    })
  } catch (cause) {
    if (cause instanceof CryptoError) throw cause
    throw new CryptoError('ERR_CRYPTO_CERTIFICATE_MALFORMED', 'The certificate cannot be decoded.', { cause })
  }
}

const extensionIds = { subjectAltName: '2.5.29.17', extendedKeyUsage: '2.5.29.37' }

function decodeTbs(der: Uint8Array): Pick<Certificate, 'subject' | 'issuer' | 'subjectAltNames' | 'extendedKeyUsages'> {
  const fields = readSequence(readSequence(readValue(der))[0])
  // RFC 5280 section 4.1: [0] version, serial number, signature, issuer, validity, subject, key, ... [3] extensions.
  const versionTag = 0xa0
  const extensionsTag = 0xa3
  const at = fields[0]?.tag === versionTag ? 1 : 0
  const extensions = readExtensions(fields.find(({ tag }) => tag === extensionsTag))
  const usages = extensions.get(extensionIds.extendedKeyUsage)
  return {
    issuer: readName(fields[at + 2]),
    subject: readName(fields[at + 4]),
    subjectAltNames: readAltNames(extensions.get(extensionIds.subjectAltName)),
    extendedKeyUsages: usages === undefined ? undefined : readSequence(usages).map(readOid),
  }
}

function readExtensions(wrapped: DerValue | undefined): Map<string, DerValue> {
  const extensions = new Map<string, DerValue>()
  if (wrapped === undefined) return extensions
  for (const extension of readSequence(readChildren(wrapped)[0])) {
    const parts = readSequence(extension)
    const oid = readOid(parts[0])
    // RFC 5280 section 4.2. Two would let two readers see two identities.
    if (extensions.has(oid)) throw malformed(`The certificate has the extension ${oid} twice.`)
    const isKnown = Object.values(extensionIds).includes(oid)
    const octets = readOctets(parts.at(-1))
    if (isKnown) extensions.set(oid, readValue(octets))
  }
  return extensions
}

// The context tags of GeneralName, RFC 5280 section 4.2.1.6.
const email = 0x81
const dns = 0x82
const directory = 0xa4
const uri = 0x86
const ip = 0x87

function readAltNames(extension: DerValue | undefined): SubjectAltNames {
  const names = extension === undefined ? [] : readSequence(extension)
  if (names.length > maxAltNames)
    throw new CryptoError('ERR_CRYPTO_INPUT_TOO_LARGE', `A certificate has more than ${maxAltNames} alternative names.`)
  const ofTag = (tag: number) => names.filter((name) => name.tag === tag)
  const known: readonly number[] = [email, dns, directory, uri, ip]
  return {
    dns: ofTag(dns).map(readAltText),
    email: ofTag(email).map(readAltText),
    uri: ofTag(uri).map(readAltText),
    ip: ofTag(ip).map(readAddress),
    directory: ofTag(directory).map((name) => readName(readChildren(name)[0])),
    others: names.filter(({ tag }) => !known.includes(tag)).length,
  }
}

function readAltText({ content }: DerValue): string {
  const text = decodeAscii(content)
  // A control character has no place in these names; NUL has made readers stop early and see another name.
  if (text === '' || /\p{Cc}/u.test(text)) throw malformed('An alternative name is empty or has control characters.')
  return text
}

function readAddress({ content }: DerValue): string {
  if (content.length === 4) return content.join('.')
  if (content.length !== 16) throw new DerError('An address has a wrong length.')
  return Array.from({ length: 8 }, (_, i) => (((content[2 * i] ?? 0) << 8) | (content[2 * i + 1] ?? 0)).toString(16)).join(':')
}

function malformed(message: string): CryptoError {
  return new CryptoError('ERR_CRYPTO_CERTIFICATE_MALFORMED', message)
}
