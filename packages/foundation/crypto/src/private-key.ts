import { createPrivateKey, getCiphers, type KeyObject } from 'node:crypto'
import { derForm } from './der-form.ts'
import { CryptoError } from './errors.ts'
import { checkJwk } from './jwk.ts'
import { checkKey, checkPair, type KeyOptions } from './key-check.ts'
import { formOf, isKeyObject, readSourceFile, type InlinePrivateKeySource, type JsonWebKey, type PrivateKeySource } from './key-source.ts'
import { invalid } from './options.ts'
import { checkPbeWork } from './pbe.ts'
import { pemBlocks } from './pem.ts'
import { revealText, type SecretText } from './secret-text.ts'

/**
 * Loads a private key from PEM or DER (plain or encrypted), a PKCS#12 store, a JWK or a key object.
 *
 * The key is checked as {@link checkKey} and {@link checkPair} say, so a weak or damaged one is found when it is
 * loaded and not at its first use. Throws `CryptoError` with the codes `ERR_CRYPTO_KEY_*`, `ERR_CRYPTO_PASSWORD_*`,
 * `ERR_CRYPTO_PEM_MALFORMED`, `ERR_CRYPTO_PKCS12_*`, `ERR_CRYPTO_ALIAS_UNKNOWN`, `ERR_CRYPTO_FILE_UNREADABLE`,
 * `ERR_CRYPTO_WORK_EXCESSIVE`, `ERR_CRYPTO_OPTION_*`.
 */
export async function loadPrivateKey(source: PrivateKeySource, options: KeyOptions = {}): Promise<KeyObject> {
  if (isKeyObject(source)) return parsePrivateKey(source, options)
  formOf('loadPrivateKey()', source, ['pem', 'pemFile', 'der', 'derFile', 'jwk', 'pkcs12', 'pkcs12File'], true)
  if ('pemFile' in source) return parsePrivateKey({ pem: await readSourceFile(source.pemFile), password: source.password }, options)
  if ('derFile' in source) return parsePrivateKey({ der: await readSourceFile(source.derFile), password: source.password }, options)
  if ('pkcs12' in source || 'pkcs12File' in source) {
    const { openPkcs12, chooseKey } = await import('./pkcs12.ts')
    return parsePrivateKey(chooseKey(await openPkcs12(source), source.alias).key, options)
  }
  return parsePrivateKey(source, options)
}

/** As {@link loadPrivateKey}, at once, for a source that is at hand already. */
export function parsePrivateKey(source: InlinePrivateKeySource, options: KeyOptions = {}): KeyObject {
  return checkPair(checkKey(decodePrivateKey(source), options))
}

function decodePrivateKey(source: InlinePrivateKeySource): KeyObject {
  if (isKeyObject(source)) {
    if (source.type !== 'private')
      throw new CryptoError('ERR_CRYPTO_KEY_WRONG_KIND', `A private key is needed, and this is a ${source.type} key.`)
    return source
  }
  formOf('parsePrivateKey()', source, ['pem', 'der', 'jwk'], true)
  if ('jwk' in source) return fromJwk(source.jwk)
  if ('pem' in source) return fromPem(source.pem, source.password)
  return fromDer(source.der, source.password)
}

function fromJwk(jwk: JsonWebKey): KeyObject {
  checkJwk(jwk, 'private')
  try {
    return createPrivateKey({ key: jwk, format: 'jwk' })
  } catch (cause) {
    throw notDecoded(cause)
  }
}

const keyLabels: ReadonlySet<string> = new Set(['PRIVATE KEY', 'ENCRYPTED PRIVATE KEY', 'RSA PRIVATE KEY', 'EC PRIVATE KEY'])

function fromPem(pem: string | Uint8Array, password: SecretText | undefined): KeyObject {
  const keys = pemBlocks(pem).filter(({ label }) => label.endsWith('PRIVATE KEY'))
  const [block] = keys
  if (block === undefined) throw new CryptoError('ERR_CRYPTO_KEY_MISSING', 'The PEM text holds no private key.')
  if (keys.length > 1) throw new CryptoError('ERR_CRYPTO_KEY_AMBIGUOUS', 'The PEM text holds several private keys.')
  if (!keyLabels.has(block.label))
    throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', `A ${block.label} is not supported; convert it to PKCS#8.`)
  const isEncrypted = block.hasHeaders || block.label === 'ENCRYPTED PRIVATE KEY'
  if (block.hasHeaders) checkTraditionalCipher(block.text)
  else if (isEncrypted) checkPbeWork(block.bytes)
  return decode({ key: block.text, format: 'pem' }, isEncrypted, password)
}

/** The runtime fails in the same way for a cipher that it does not have as for a wrong password. */
function checkTraditionalCipher(text: string): void {
  const name = /^DEK-Info: *([A-Za-z0-9-]+),/m.exec(text)?.[1]
  if (name !== undefined && getCiphers().includes(name.toLowerCase())) return
  throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', 'The private key is encrypted with a cipher that this runtime does not have.')
}

function fromDer(der: Uint8Array, password: SecretText | undefined): KeyObject {
  if (!(der instanceof Uint8Array)) throw invalid('A DER source is bytes.')
  const key = Buffer.from(der)
  const form = derForm(key)
  if (form === 'encryptedPkcs8') checkPbeWork(key)
  const type = form === 'encryptedPkcs8' ? 'pkcs8' : form === 'pkcs1Private' ? 'pkcs1' : form
  if (type !== 'pkcs8' && type !== 'sec1' && type !== 'pkcs1') {
    throw type === undefined
      ? notDecoded(undefined)
      : new CryptoError('ERR_CRYPTO_KEY_WRONG_KIND', 'A private key is needed, and this is a public one.')
  }
  return decode({ key, format: 'der', type }, form === 'encryptedPkcs8', password)
}

type Encoding = { key: string; format: 'pem' } | { key: Buffer; format: 'der'; type: 'pkcs8' | 'sec1' | 'pkcs1' }

function decode(encoding: Encoding, isEncrypted: boolean, password: SecretText | undefined): KeyObject {
  if (!isEncrypted) {
    if (password !== undefined)
      throw new CryptoError('ERR_CRYPTO_PASSWORD_UNUSED', 'A password was given, and the private key is not encrypted.')
    try {
      return createPrivateKey(encoding)
    } catch (cause) {
      throw notDecoded(cause)
    }
  }
  if (password === undefined)
    throw new CryptoError('ERR_CRYPTO_PASSWORD_REQUIRED', 'The private key is encrypted, and no password was given.')
  const passphrase = revealText('The password of a private key', password)
  if (passphrase === '') throw invalid('The password of a private key must not be empty.')
  try {
    return createPrivateKey({ ...encoding, passphrase })
  } catch (cause) {
    throw new CryptoError(
      'ERR_CRYPTO_PASSWORD_WRONG',
      'The private key cannot be decrypted: the password is wrong, or the content damaged.',
      { cause },
    )
  }
}

function notDecoded(cause: unknown): CryptoError {
  return new CryptoError('ERR_CRYPTO_KEY_MALFORMED', 'The private key cannot be decoded.', { cause })
}
