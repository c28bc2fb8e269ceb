import { hash } from 'node:crypto'
import { toBytes, type TextOrBytes } from './bytes.ts'
import { CryptoError } from './errors.ts'
import { weakDigestNames, type WeakDigest } from './weak-digests.ts'

/** The digests that are sound for every purpose here (FIPS 180-4). */
export type DigestAlgorithm = 'sha256' | 'sha384' | 'sha512'

/** How a digest is written as text. */
export type DigestEncoding = 'hex' | 'base64' | 'base64url' | 'latin1'

const lengths: ReadonlyMap<unknown, number> = new Map<DigestAlgorithm, number>([
  ['sha256', 32],
  ['sha384', 48],
  ['sha512', 64],
])

/**
 * Digests text (as UTF-8) or bytes. Without an encoding the result is bytes; with one, text.
 *
 * Not for passwords: use `hashPassword`. On a hot path ask for `'latin1'`, which the runtime makes twice as fast as
 * bytes. MD5 and SHA-1 are symbols of `@portcullis/crypto/danger`. Throws `ERR_CRYPTO_ALGORITHM_UNKNOWN`.
 */
export function digest(algorithm: DigestAlgorithm | WeakDigest, data: TextOrBytes): Buffer
export function digest(algorithm: DigestAlgorithm | WeakDigest, data: TextOrBytes, encoding: DigestEncoding): string
export function digest(algorithm: DigestAlgorithm | WeakDigest, data: TextOrBytes, encoding?: DigestEncoding): Buffer | string {
  const bytes = toBytes('The data of digest()', data)
  const name = digestName(algorithm)
  return encoding === undefined ? hash(name, bytes, 'buffer') : hash(name, bytes, encoding === 'latin1' ? 'binary' : encoding)
}

/** The number of bytes of a digest. */
export function digestLength(algorithm: DigestAlgorithm): number {
  const length = lengths.get(algorithm)
  if (length === undefined) throw unknownDigest()
  return length
}

/** The runtime's name of a digest. */
export function digestName(algorithm: DigestAlgorithm | WeakDigest): string {
  const name = lengths.has(algorithm) ? (algorithm as DigestAlgorithm) : weakDigestNames.get(algorithm)
  if (name === undefined) throw unknownDigest()
  return name
}

function unknownDigest(): CryptoError {
  return new CryptoError('ERR_CRYPTO_ALGORITHM_UNKNOWN', 'A digest is one of sha256, sha384 and sha512.')
}
