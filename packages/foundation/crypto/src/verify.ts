import { verify as systemVerify, type KeyObject } from 'node:crypto'
import { toBytes, type TextOrBytes } from './bytes.ts'
import { toDer } from './ecdsa-format.ts'
import { CryptoError } from './errors.ts'
import { bindToPss, pssOptions } from './pss-key.ts'
import { formatOf, type SignatureOptions } from './sign.ts'
import { schemeFor, type SignatureAlgorithm } from './signature-algorithm.ts'

/** A public key bound to one algorithm. */
export interface Verifier {
  readonly algorithm: SignatureAlgorithm
  /** Verifies at once, on this thread. A signature of a wrong length or form is false, never an error. */
  verify(data: TextOrBytes, signature: Uint8Array): boolean
  /** Verifies on the thread pool, which is slower for one and keeps the event loop free for others. */
  verifyAsync(data: TextOrBytes, signature: Uint8Array): Promise<boolean>
}

/**
 * Binds a public key to the one algorithm that its signatures are verified with, so that no header can choose another.
 * Make it once for a key and use it often: it holds the key in the form that the runtime verifies fastest.
 *
 * PSS takes a salt of the hash's length and no other (RFC 7518 section 3.5). Throws `ERR_CRYPTO_ALGORITHM_UNKNOWN`,
 * `ERR_CRYPTO_ALGORITHM_MISMATCH`, `ERR_CRYPTO_KEY_WRONG_KIND`; its methods throw `ERR_CRYPTO_OPERATION_FAILED`.
 */
export function verifier(algorithm: SignatureAlgorithm, key: KeyObject, options: SignatureOptions = {}): Verifier {
  if (key.type !== 'public')
    throw new CryptoError('ERR_CRYPTO_KEY_WRONG_KIND', `Verifying takes a public key, and this is a ${key.type} key.`)
  const { family, hash, size } = schemeFor(algorithm, key)
  const isJose = formatOf(options) === 'jose' && family === 'ecdsa'
  const bound =
    family === 'pss' && hash !== undefined ? (key.asymmetricKeyType === 'rsa' ? bindToPss(key, hash) : pssOptions(key, size)) : key
  // RFC 8017 sections 8.1.2 and 8.2.2, step 1. The runtime takes one from which leading zeros are missing.
  const { modulusLength } = key.asymmetricKeyDetails ?? {}
  const length = modulusLength === undefined ? undefined : Math.ceil(modulusLength / 8)
  const prepare = (signature: unknown) => {
    if (!(signature instanceof Uint8Array)) return undefined
    if (length !== undefined && signature.length !== length) return undefined
    return isJose ? toDer(signature, size) : signature
  }
  return Object.freeze({
    algorithm,
    verify: (data: TextOrBytes, signature: Uint8Array) => {
      const bytes = toBytes('The data of verify()', data)
      const prepared = prepare(signature)
      if (prepared === undefined) return false
      try {
        return systemVerify(hash, bytes, bound, prepared)
      } catch (cause) {
        throw failed(cause)
      }
    },
    verifyAsync: async (data: TextOrBytes, signature: Uint8Array) => {
      const bytes = toBytes('The data of verifyAsync()', data)
      const prepared = prepare(signature)
      if (prepared === undefined) return false
      return new Promise<boolean>((resolve, reject) => {
        systemVerify(hash, bytes, bound, prepared, (cause, isValid) => (cause === null ? resolve(isValid) : reject(failed(cause))))
      })
    },
  })
}

/** Verifies once; see {@link verifier} for many signatures of one key. */
export function verify(
  algorithm: SignatureAlgorithm,
  key: KeyObject,
  data: TextOrBytes,
  signature: Uint8Array,
  options: SignatureOptions = {},
): boolean {
  return verifier(algorithm, key, options).verify(data, signature)
}

function failed(cause: unknown): CryptoError {
  return new CryptoError('ERR_CRYPTO_OPERATION_FAILED', 'Verifying failed inside the runtime.', { cause })
}
