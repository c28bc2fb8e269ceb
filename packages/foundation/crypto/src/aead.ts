import { createCipheriv, createDecipheriv, randomBytes, type KeyObject } from 'node:crypto'
import { toBytes, type TextOrBytes } from './bytes.ts'
import { CryptoError } from './errors.ts'
import { secretKeyOf } from './hmac.ts'
import { checkOptions } from './options.ts'

/** What else is authenticated with a sealed text. */
export interface AeadOptions {
  /** Context that is not sent but must be the same when opening: a record's name, a version, an owner. */
  readonly additionalData?: TextOrBytes | undefined
}

// 96 bits is the one nonce length that GCM uses as it is, and 128 the full tag (NIST SP 800-38D sections 5.2.1, 8.2.2).
const nonceBytes = 12
const tagBytes = 16

/**
 * Encrypts and authenticates with AES-GCM. The key decides between AES-128, -192 and -256 by its 16, 24 or 32 bytes.
 * The result is nonce (12 bytes, random), ciphertext, tag (16 bytes); no nonce can be passed, so none is used twice.
 * One key must not seal more than 2^32 texts (NIST SP 800-38D section 8.3); counting is the caller's part.
 * Throws `ERR_CRYPTO_KEY_WEAK` for a key of another length.
 */
export function seal(key: KeyObject | Uint8Array, plaintext: TextOrBytes, options: AeadOptions = {}): Buffer {
  const { name, keyObject, additionalData } = prepare('seal()', key, options)
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv(name, keyObject, nonce, { authTagLength: tagBytes }).setAAD(additionalData)
  return Buffer.concat([nonce, cipher.update(toBytes('The plaintext of seal()', plaintext)), cipher.final(), cipher.getAuthTag()])
}

/**
 * Opens what {@link seal} made, with the same key and additional data. Nothing of the plaintext is handed out before
 * the tag was verified. Throws `ERR_CRYPTO_DECRYPTION_FAILED`, whatever the reason.
 */
export function open(key: KeyObject | Uint8Array, sealed: Uint8Array, options: AeadOptions = {}): Buffer {
  const { name, keyObject, additionalData } = prepare('open()', key, options)
  const bytes = toBytes('The sealed bytes of open()', sealed)
  if (bytes.length < nonceBytes + tagBytes) throw notOpened()
  const tagAt = bytes.length - tagBytes
  const decipher = createDecipheriv(name, keyObject, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
    .setAAD(additionalData)
    .setAuthTag(bytes.subarray(tagAt))
  const plaintext = decipher.update(bytes.subarray(nonceBytes, tagAt))
  try {
    return Buffer.concat([plaintext, decipher.final()])
  } catch {
    throw notOpened()
  }
}

const cipherNames = { 16: 'aes-128-gcm', 24: 'aes-192-gcm', 32: 'aes-256-gcm' } as const

function prepare(where: string, key: KeyObject | Uint8Array, options: AeadOptions) {
  checkOptions(where, options, { additionalData: true })
  const keyObject = secretKeyOf(key)
  const name = cipherNames[keyObject.symmetricKeySize as keyof typeof cipherNames]
  if (name === undefined) throw new CryptoError('ERR_CRYPTO_KEY_WEAK', 'An AES key has 16, 24 or 32 bytes.')
  return { name, keyObject, additionalData: toBytes(`The additional data of ${where}`, options.additionalData ?? '') }
}

function notOpened(): CryptoError {
  return new CryptoError(
    'ERR_CRYPTO_DECRYPTION_FAILED',
    'The sealed text is damaged, or was sealed with another key or other additional data.',
  )
}
