import type { JsonWebKeyInput, KeyObject, X509Certificate } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { types } from 'node:util'
import { CryptoError } from './errors.ts'
import { checkOptions, invalid } from './options.ts'
import type { SecretText } from './secret-text.ts'

/** PEM text, or the bytes of a PEM file. */
export interface PemSource {
  readonly pem: string | Uint8Array
}

/** The path of a PEM file, at most 4 MiB. */
export interface PemFileSource {
  readonly pemFile: string
}

/** DER bytes: PKCS#8, PKCS#1 or SEC 1 for a private key, SPKI or a certificate for a public one. */
export interface DerSource {
  readonly der: Uint8Array
}

/** The path of a DER file, at most 4 MiB. */
export interface DerFileSource {
  readonly derFile: string
}

// By way of JsonWebKeyInput, since the type definitions of Node 26 have no JsonWebKey in node:crypto any more, nor a `kid`.
export type JsonWebKey = JsonWebKeyInput['key'] & { readonly kid?: string }

/** A JSON Web Key (RFC 7517). Its `alg`, `use` and `key_ops` are not looked at here. */
export interface JwkSource {
  readonly jwk: JsonWebKey
}

/** For a key that is encrypted; a password for one that is not is an error, and so is an empty one. */
export interface KeyPassword {
  readonly password?: SecretText | undefined
}

/** How to open a PKCS#12 store, and which entry of it is meant. */
export interface StorePassword {
  /** Absent only for stores without encryption and integrity check, as Java makes for public trust anchors. */
  readonly password?: SecretText | undefined
  /** The friendly name of the entry, exactly as stored (Java's keytool stores lower case). Needed if the store holds several. */
  readonly alias?: string | undefined
}

/** The bytes of a PKCS#12 store (`.p12`, `.pfx`). */
export interface Pkcs12Source extends StorePassword {
  readonly pkcs12: Uint8Array
}

/** The path of a PKCS#12 store, at most 4 MiB. */
export interface Pkcs12FileSource extends StorePassword {
  readonly pkcs12File: string
}

/** Where a private key comes from that is at hand already. */
export type InlinePrivateKeySource = KeyObject | (PemSource & KeyPassword) | (DerSource & KeyPassword) | JwkSource

/** Where a private key comes from. */
export type PrivateKeySource =
  | InlinePrivateKeySource
  | (PemFileSource & KeyPassword)
  | (DerFileSource & KeyPassword)
  | Pkcs12Source
  | Pkcs12FileSource

/** Where a public key comes from that is at hand already: the key itself, or a certificate that holds it. */
export type InlinePublicKeySource = KeyObject | X509Certificate | PemSource | DerSource | JwkSource

/** Where a public key comes from: the key itself, or a certificate that holds it. */
export type PublicKeySource = InlinePublicKeySource | PemFileSource | DerFileSource | Pkcs12Source | Pkcs12FileSource

/** Where a secret for HMAC or AES comes from that is at hand already. */
export type InlineSecretKeySource = KeyObject | { readonly secret: SecretText | Uint8Array } | JwkSource

/** Where a secret for HMAC or AES comes from; of a file, the bytes without one line end at its end. */
export type SecretKeySource = InlineSecretKeySource | { readonly secretFile: string }

/** Where certificates come from that are at hand already. */
export type InlineCertificateSource = PemSource | DerSource | X509Certificate | readonly X509Certificate[]

/** Where certificates come from. */
export type CertificateSource = InlineCertificateSource | PemFileSource | DerFileSource | Pkcs12Source | Pkcs12FileSource

/** Where a private key and its certificate chain come from: two sources, or one that holds both. */
export type KeyPairSource =
  | { readonly key: PrivateKeySource; readonly certificates: CertificateSource }
  | (PemSource & KeyPassword)
  | (PemFileSource & KeyPassword)
  | Pkcs12Source
  | Pkcs12FileSource

// A trust store of every public authority has a quarter of this.
export const maxSourceBytes = 4 * 1024 * 1024

const optionsOf = {
  pem: { pem: true, password: true },
  pemFile: { pemFile: true, password: true },
  der: { der: true, password: true },
  derFile: { derFile: true, password: true },
  jwk: { jwk: true },
  pkcs12: { pkcs12: true, password: true, alias: true },
  pkcs12File: { pkcs12File: true, password: true, alias: true },
  secret: { secret: true },
  secretFile: { secretFile: true },
  key: { key: true, certificates: true },
} as const satisfies Record<string, Record<string, true>>

/** The property by which a source says what it is. */
export type SourceForm = keyof typeof optionsOf

/**
 * Tells which form a source has; refuses one with none or with a key that does not belong to its form, such as a
 * second form or a password where nothing can be encrypted.
 */
export function formOf(where: string, source: object, forms: readonly SourceForm[], withPassword: boolean): SourceForm {
  const form = typeof source === 'object' && source !== null ? forms.find((name) => Object.hasOwn(source, name)) : undefined
  if (form === undefined) {
    const forFiles = where.startsWith('parse') ? ` Files are read by ${where.replace('parse', 'load')}.` : ''
    throw invalid(`${where} takes an object with one of ${forms.join(', ')}.${forFiles}`)
  }
  const { password, ...others }: Record<string, true> = optionsOf[form]
  const isStore = form === 'pkcs12' || form === 'pkcs12File'
  checkOptions(
    where,
    source as Record<string, true>,
    password !== undefined && (withPassword || isStore) ? { password, ...others } : others,
  )
  return form
}

/** Reads a whole file of bounded size. Throws `ERR_CRYPTO_FILE_UNREADABLE` or `ERR_CRYPTO_INPUT_TOO_LARGE`. */
export async function readSourceFile(path: string): Promise<Buffer> {
  if (typeof path !== 'string' || path === '') throw invalid('The path of a file must be a text that is not empty.')
  const chunks: Buffer[] = []
  let total = 0
  try {
    // Read to a bound instead of trusting the size that the file system tells: a device or a growing file has none.
    for await (const chunk of createReadStream(path, { end: maxSourceBytes }) as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      total += chunk.length
    }
  } catch (cause) {
    throw new CryptoError('ERR_CRYPTO_FILE_UNREADABLE', `The file ${path} cannot be read.`, { cause })
  }
  if (total > maxSourceBytes)
    throw new CryptoError('ERR_CRYPTO_INPUT_TOO_LARGE', `The file ${path} is larger than ${maxSourceBytes} bytes.`)
  return Buffer.concat(chunks)
}

/** Tells a key object, also one of another realm. */
export const isKeyObject: (value: unknown) => value is KeyObject = types.isKeyObject
