import { createHmac, createSecretKey, timingSafeEqual, type KeyObject } from 'node:crypto'
import { types } from 'node:util'
import { toBytes, type TextOrBytes } from './bytes.ts'
import { digestName, type DigestAlgorithm } from './digest.ts'
import { CryptoError } from './errors.ts'
import { invalid } from './options.ts'
import type { WeakDigest } from './weak-digests.ts'

/**
 * Computes an HMAC (RFC 2104) over text (as UTF-8) or bytes.
 *
 * A key that is used often should be a secret `KeyObject` (see `loadSecretKey`): raw bytes cost several microseconds
 * more on each call. An empty key is refused; that a key is as long as RFC 7518 section 3.2 demands for tokens is not
 * checked here. Throws `ERR_CRYPTO_KEY_WRONG_KIND`, `ERR_CRYPTO_OPTION_INVALID`, `ERR_CRYPTO_ALGORITHM_UNKNOWN`.
 */
export function hmac(algorithm: DigestAlgorithm | WeakDigest, key: KeyObject | TextOrBytes, data: TextOrBytes): Buffer {
  return createHmac(digestName(algorithm), secretKeyOf(key)).update(toBytes('The data of hmac()', data)).digest()
}

/** Tells whether `tag` is the whole HMAC of the data, in a time that does not depend on where the two differ. */
export function verifyHmac(
  algorithm: DigestAlgorithm | WeakDigest,
  key: KeyObject | TextOrBytes,
  data: TextOrBytes,
  tag: Uint8Array,
): boolean {
  const expected = hmac(algorithm, key, data)
  return tag instanceof Uint8Array && tag.length === expected.length && timingSafeEqual(tag, expected)
}

/** A secret key object of the bytes; a key object passes as it is, if it holds a secret. */
export function secretKeyOf(key: KeyObject | TextOrBytes): KeyObject {
  if (types.isKeyObject(key)) {
    if (key.type !== 'secret') throw new CryptoError('ERR_CRYPTO_KEY_WRONG_KIND', `A secret key is needed, and this is a ${key.type} key.`)
    if (key.symmetricKeySize === 0) throw invalid('A secret key must not be empty.')
    return key
  }
  const bytes = toBytes('A secret key', key)
  if (bytes.length === 0) throw invalid('A secret key must not be empty.')
  return createSecretKey(bytes)
}
