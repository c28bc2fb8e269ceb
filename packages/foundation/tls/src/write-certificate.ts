import { createPublicKey, generateKeyPair, sign, X509Certificate, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'

import { digest, keyUsages, randomBytes } from '@portcullis/crypto'

/** A certificate and its key, as an authority or for an end. */
export interface Issued {
  readonly certificate: X509Certificate
  readonly key: KeyObject
  /** The encoded subject: what names an issuer must be identical byte for byte. */
  readonly subject: Uint8Array
}

/** Names of a certificate (RFC 5280 section 4.2.1.6). */
export interface AlternativeNames {
  readonly dns?: readonly string[]
  readonly email?: readonly string[]
  readonly uri?: readonly string[]
  /** IPv4 and IPv6 addresses as bytes. */
  readonly ip?: readonly Uint8Array[]
}

/** What a certificate says. */
export interface CertificateContent {
  /** The common name, and the organization if there is one. */
  readonly commonName: string
  readonly organization?: string
  readonly notBefore: Date
  readonly notAfter: Date
  readonly names?: AlternativeNames
  readonly usages?: readonly (keyof typeof keyUsages)[]
  /** An authority's certificate, with the number of authorities that may follow below it and the only names that it may be used for. */
  readonly authority?: { readonly pathLength: number; readonly permitted?: AlternativeNames }
  /** The authority that signs; absent for a self-signed certificate. */
  readonly issuer?: Issued
  /** A key that is there already; absent makes a new one. */
  readonly key?: KeyObject
}

/**
 * Writes and signs a certificate (RFC 5280) with a new P-256 key. For certificates of development and tests, which
 * need no registration authority: it checks nothing of what it is told to certify.
 */
export async function writeCertificate(content: CertificateContent): Promise<Issued> {
  const key = content.key ?? (await promisify(generateKeyPair)('ec', { namedCurve: 'P-256' })).privateKey
  const { issuer } = content
  const publicKey = publicKeyOf(key)
  const subject = distinguishedName(content)
  const tbs = sequence(
    context(0, integer(2)),
    // RFC 5280 section 4.1.2.2: positive, at most 20 bytes; and not to be guessed.
    tagged(tag.integer, Buffer.concat([Buffer.of(0x40), randomBytes(15)])),
    ecdsaWithSha256,
    issuer?.subject ?? subject,
    sequence(time(content.notBefore), time(content.notAfter)),
    subject,
    publicKey,
    context(3, sequence(...extensionsOf(content, publicKey, issuer === undefined ? publicKey : publicKeyOf(issuer.key)))),
  )
  const signature = sign('sha256', tbs, issuer?.key ?? key)
  return { certificate: new X509Certificate(sequence(tbs, ecdsaWithSha256, bitString(signature))), key, subject }
}

function extensionsOf({ authority, names, usages = [] }: CertificateContent, own: Buffer, issuers: Buffer): Buffer[] {
  const keyUsage = authority === undefined ? Buffer.of(7, 0b1000_0000) : Buffer.of(1, 0b0000_0110) // digitalSignature; keyCertSign and cRLSign
  const list = [
    extension(
      '2.5.29.19',
      true,
      authority === undefined ? sequence() : sequence(tagged(tag.boolean, Buffer.of(0xff)), integer(authority.pathLength)),
    ),
    extension('2.5.29.15', true, tagged(tag.bitString, keyUsage)),
    extension('2.5.29.14', false, octets(keyIdentifier(own))),
    extension('2.5.29.35', false, sequence(tagged(0x80, keyIdentifier(issuers)))),
  ]
  if (usages.length > 0) list.push(extension('2.5.29.37', false, sequence(...usages.map((usage) => objectIdentifier(keyUsages[usage])))))
  if (names !== undefined) list.push(extension('2.5.29.17', false, sequence(...generalNames(names))))
  if (authority?.permitted !== undefined) {
    list.push(extension('2.5.29.30', true, sequence(context(0, ...generalNames(authority.permitted).map((name) => sequence(name))))))
  }
  return list
}

const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  generalizedTime: 0x18,
  utcTime: 0x17,
  sequence: 0x30,
  set: 0x31,
} as const

function tagged(identifier: number, ...contents: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(contents)
  if (content.length < 0x80) return Buffer.concat([Buffer.of(identifier, content.length), content])
  const length = Buffer.from(content.length.toString(16).padStart(content.length > 0xff ? 4 : 2, '0'), 'hex')
  return Buffer.concat([Buffer.of(identifier, 0x80 | length.length), length, content])
}

function sequence(...contents: readonly Uint8Array[]): Buffer {
  return tagged(tag.sequence, ...contents)
}

function context(number: number, ...contents: readonly Uint8Array[]): Buffer {
  return tagged(0xa0 | number, ...contents)
}

function integer(value: number): Buffer {
  return tagged(tag.integer, Buffer.of(value))
}

function octets(content: Uint8Array): Buffer {
  return tagged(tag.octetString, content)
}

function bitString(content: Uint8Array): Buffer {
  return tagged(tag.bitString, Buffer.of(0), content)
}

function objectIdentifier(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number)
  return tagged(tag.oid, Buffer.from([first * 40 + second, ...rest].flatMap(base128)))
}

function base128(value: number): number[] {
  const digits = [value & 0x7f]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) digits.unshift((rest & 0x7f) | 0x80)
  return digits
}

const ecdsaWithSha256 = sequence(objectIdentifier('1.2.840.10045.4.3.2'))

function time(date: Date): Buffer {
  const digits = date.toISOString().replaceAll(/[-:T]|\.\d+/g, '')
  // RFC 5280 section 4.1.2.5: two digits for the year until 2049.
  return date.getUTCFullYear() < 2050 ? tagged(tag.utcTime, Buffer.from(digits.slice(2))) : tagged(tag.generalizedTime, Buffer.from(digits))
}

function distinguishedName({ commonName, organization }: CertificateContent): Buffer {
  const attribute = (oid: string, value: string): Buffer =>
    tagged(tag.set, sequence(objectIdentifier(oid), tagged(tag.utf8String, Buffer.from(value))))
  return sequence(...(organization === undefined ? [] : [attribute('2.5.4.10', organization)]), attribute('2.5.4.3', commonName))
}

function generalNames({ dns = [], email = [], uri = [], ip = [] }: AlternativeNames): Buffer[] {
  return [
    ...email.map((name) => tagged(0x81, Buffer.from(name))),
    ...dns.map((name) => tagged(0x82, Buffer.from(name))),
    ...uri.map((name) => tagged(0x86, Buffer.from(name))),
    ...ip.map((address) => tagged(0x87, address)),
  ]
}

function extension(oid: string, critical: boolean, value: Buffer): Buffer {
  return sequence(objectIdentifier(oid), ...(critical ? [tagged(tag.boolean, Buffer.of(0xff))] : []), octets(value))
}

function publicKeyOf(key: KeyObject): Buffer {
  return createPublicKey(key).export({ type: 'spki', format: 'der' })
}

// RFC 7093 section 2, method 1: the leftmost 160 bits of a SHA-256.
function keyIdentifier(publicKey: Buffer): Buffer {
  return digest('sha256', publicKey).subarray(0, 20)
}
