import { hkdfSync, type KeyObject } from 'node:crypto'
import { toBytes, type TextOrBytes } from './bytes.ts'
import { digestLength, type DigestAlgorithm } from './digest.ts'
import { secretKeyOf } from './hmac.ts'
import { checkOptions, wholeNumber } from './options.ts'

/** What {@link hkdf} derives from, and how much. */
export interface HkdfOptions {
  /** The input key material: a shared secret of high entropy, never a password. */
  readonly secret: KeyObject | TextOrBytes
  /** The wanted number of bytes, at most 255 times the digest's length (RFC 5869 section 2.3). */
  readonly length: number
  /** Not secret; makes independent uses of one secret stronger. Default: none. */
  readonly salt?: TextOrBytes | undefined
  /** What the derived key is for, so that two uses never get the same key. At most 1,024 bytes. Default: none. */
  readonly info?: TextOrBytes | undefined
}

// The runtime takes no more; a purpose is a short text.
const maxInfoBytes = 1024

/**
 * Derives key bytes from a secret of high entropy (RFC 5869). Not for passwords: those need `hashPassword`.
 * Throws `ERR_CRYPTO_OPTION_UNKNOWN`, `ERR_CRYPTO_OPTION_INVALID`, `ERR_CRYPTO_ALGORITHM_UNKNOWN`.
 */
export function hkdf(algorithm: DigestAlgorithm, options: HkdfOptions): Buffer {
  checkOptions('hkdf()', options, { secret: true, length: true, salt: true, info: true })
  const length = wholeNumber('The length of hkdf()', options.length, 1, 255 * digestLength(algorithm))
  const salt = toBytes('The salt of hkdf()', options.salt ?? '')
  const info = toBytes('The info of hkdf()', options.info ?? '')
  wholeNumber('The bytes of info of hkdf()', info.length, 0, maxInfoBytes)
  return Buffer.from(hkdfSync(algorithm, secretKeyOf(options.secret), salt, info, length))
}
