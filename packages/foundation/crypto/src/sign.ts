import { sign as systemSign, type KeyObject } from 'node:crypto'
import { toBytes, type TextOrBytes } from './bytes.ts'
import { fromDer } from './ecdsa-format.ts'
import { CryptoError } from './errors.ts'
import { checkOptions, invalid } from './options.ts'
import { bindToPss, pssOptions } from './pss-key.ts'
import { schemeFor, type SignatureAlgorithm } from './signature-algorithm.ts'

/** How a signature is written. */
export interface SignatureOptions {
  /** For ECDSA: two numbers side by side as JOSE has it (default), or DER as X.509, Java and OpenSSL have it. */
  readonly format?: 'jose' | 'der' | undefined
}

/** A private key bound to one algorithm. */
export interface Signer {
  readonly algorithm: SignatureAlgorithm
  /** Signs at once, on this thread. */
  sign(data: TextOrBytes): Buffer
  /** Signs on the thread pool, which is slower for one and keeps the event loop free for others. */
  signAsync(data: TextOrBytes): Promise<Buffer>
}

/**
 * Binds a private key to an algorithm that fits it. Make it once for a key and use it often: the preparation takes
 * longer than a signature. Throws `ERR_CRYPTO_ALGORITHM_UNKNOWN`, `ERR_CRYPTO_ALGORITHM_MISMATCH`,
 * `ERR_CRYPTO_KEY_WRONG_KIND`; its methods throw `ERR_CRYPTO_OPERATION_FAILED`.
 */
export function signer(algorithm: SignatureAlgorithm, key: KeyObject, options: SignatureOptions = {}): Signer {
  if (key.type !== 'private')
    throw new CryptoError('ERR_CRYPTO_KEY_WRONG_KIND', `Signing takes a private key, and this is a ${key.type} key.`)
  const { family, hash, size } = schemeFor(algorithm, key)
  const isJose = formatOf(options) === 'jose' && family === 'ecdsa'
  const bound =
    family === 'pss' && hash !== undefined ? (key.asymmetricKeyType === 'rsa' ? bindToPss(key, hash) : pssOptions(key, size)) : key
  const finish = (signature: Buffer) => (isJose ? fromDer(signature, size) : signature)
  return Object.freeze({
    algorithm,
    sign: (data: TextOrBytes) => {
      const bytes = toBytes('The data of sign()', data)
      try {
        return finish(systemSign(hash, bytes, bound))
      } catch (cause) {
        throw failed(cause)
      }
    },
    signAsync: async (data: TextOrBytes) => {
      const bytes = toBytes('The data of signAsync()', data)
      return new Promise<Buffer>((resolve, reject) => {
        systemSign(hash, bytes, bound, (cause, signature) => (cause === null ? resolve(finish(signature)) : reject(failed(cause))))
      })
    },
  })
}

/** Signs once; see {@link signer} for many signatures with one key. */
export function sign(algorithm: SignatureAlgorithm, key: KeyObject, data: TextOrBytes, options: SignatureOptions = {}): Buffer {
  return signer(algorithm, key, options).sign(data)
}

/** The format of the options, checked. */
export function formatOf(options: SignatureOptions): 'jose' | 'der' {
  checkOptions('The signature options', options, { format: true })
  const { format = 'jose' } = options
  if (format !== 'jose' && format !== 'der') throw invalid('The format of a signature is jose or der.')
  return format
}

function failed(cause: unknown): CryptoError {
  return new CryptoError('ERR_CRYPTO_OPERATION_FAILED', 'Signing failed inside the runtime.', { cause })
}
