import { createPublicKey, X509Certificate, type KeyObject } from 'node:crypto'
import { derForm } from './der-form.ts'
import { CryptoError } from './errors.ts'
import { checkJwk } from './jwk.ts'
import { checkKey, type KeyOptions } from './key-check.ts'
import { formOf, isKeyObject, readSourceFile, type InlinePublicKeySource, type JsonWebKey, type PublicKeySource } from './key-source.ts'
import { invalid } from './options.ts'
import { pemBlocks } from './pem.ts'

/**
 * Loads a public key from PEM or DER (a bare key or a certificate), a PKCS#12 store, a JWK, a certificate or a key
 * object. A private key is refused: what only verifies should not be able to sign.
 *
 * The key is checked as {@link checkKey} says. Of a certificate only the key is taken: its dates, its issuer and its
 * usages are not looked at. Throws `CryptoError` with the codes that `loadPrivateKey` has.
 */
export async function loadPublicKey(source: PublicKeySource, options: KeyOptions = {}): Promise<KeyObject> {
  if (isKeyObject(source) || source instanceof X509Certificate) return parsePublicKey(source, options)
  formOf('loadPublicKey()', source, ['pem', 'pemFile', 'der', 'derFile', 'jwk', 'pkcs12', 'pkcs12File'], false)
  if ('pemFile' in source) return parsePublicKey({ pem: await readSourceFile(source.pemFile) }, options)
  if ('derFile' in source) return parsePublicKey({ der: await readSourceFile(source.derFile) }, options)
  if ('pkcs12' in source || 'pkcs12File' in source) {
    const { openPkcs12, chooseCertificate } = await import('./pkcs12.ts')
    return parsePublicKey(chooseCertificate(await openPkcs12(source), source.alias), options)
  }
  return parsePublicKey(source, options)
}

/** As {@link loadPublicKey}, at once, for a source that is at hand already. */
export function parsePublicKey(source: InlinePublicKeySource, options: KeyOptions = {}): KeyObject {
  return checkKey(decodePublicKey(source), options)
}

function decodePublicKey(source: InlinePublicKeySource): KeyObject {
  if (isKeyObject(source)) {
    if (source.type !== 'public') throw wrongKind(source.type)
    return source
  }
  if (source instanceof X509Certificate) return attempt(() => source.publicKey)
  formOf('parsePublicKey()', source, ['pem', 'der', 'jwk'], false)
  if ('jwk' in source) return fromJwk(source.jwk)
  if ('pem' in source) return fromPem(source.pem)
  return fromDer(source.der)
}

function fromJwk(jwk: JsonWebKey): KeyObject {
  checkJwk(jwk, 'public')
  return attempt(() => createPublicKey({ key: jwk, format: 'jwk' }))
}

function fromPem(pem: string | Uint8Array): KeyObject {
  const blocks = pemBlocks(pem)
  if (blocks.some(({ label }) => label.endsWith('PRIVATE KEY'))) throw wrongKind('private')
  const keys = blocks.filter(({ label }) => label.endsWith('PUBLIC KEY') || label === 'CERTIFICATE')
  const [block] = keys
  if (block === undefined) throw new CryptoError('ERR_CRYPTO_KEY_MISSING', 'The PEM text holds no public key and no certificate.')
  if (keys.length > 1) throw new CryptoError('ERR_CRYPTO_KEY_AMBIGUOUS', 'The PEM text holds several public keys or certificates.')
  if (block.label === 'CERTIFICATE' || block.label === 'PUBLIC KEY' || block.label === 'RSA PUBLIC KEY') return fromDer(block.bytes)
  throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', `A ${block.label} is not supported; convert it to SPKI.`)
}

function fromDer(der: Uint8Array): KeyObject {
  if (!(der instanceof Uint8Array)) throw invalid('A DER source is bytes.')
  const key = Buffer.from(der)
  const form = derForm(key)
  if (form === 'spki' || form === 'pkcs1Public') {
    return attempt(() => createPublicKey({ key, format: 'der', type: form === 'spki' ? 'spki' : 'pkcs1' }))
  }
  if (form === 'certificate') return attempt(() => new X509Certificate(key).publicKey)
  // The runtime would derive the public key from a private one without a word.
  throw form === undefined ? notDecoded(undefined) : wrongKind('private')
}

function attempt(decoder: () => KeyObject): KeyObject {
  try {
    return decoder()
  } catch (cause) {
    throw notDecoded(cause)
  }
}

function notDecoded(cause: unknown): CryptoError {
  return new CryptoError('ERR_CRYPTO_KEY_MALFORMED', 'The public key cannot be decoded.', { cause })
}

function wrongKind(kind: string): CryptoError {
  return new CryptoError('ERR_CRYPTO_KEY_WRONG_KIND', `A public key is needed, and this is a ${kind} key.`)
}
