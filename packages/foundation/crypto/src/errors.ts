const brand = Symbol.for('portcullis.error')

/** The same four families as the errors of `@portcullis/core`, which knows this package's errors by their brand. */
export type CryptoErrorFamily = 'authentication' | 'authorization' | 'unavailable' | 'configuration'

/** The codes of the errors of `@portcullis/crypto`, each with its meaning. */
export const cryptoErrorCodes = {
  ERR_CRYPTO_OPTION_UNKNOWN: 'An option key that does not exist, often a misspelling.',
  ERR_CRYPTO_OPTION_INVALID: 'An option or argument is missing, empty, of a wrong type or out of its bounds.',
  ERR_CRYPTO_FILE_UNREADABLE: 'A file with a key or certificates is missing or cannot be read.',
  ERR_CRYPTO_INPUT_TOO_LARGE: 'A file, text or list is larger than any sound one.',
  ERR_CRYPTO_PEM_MALFORMED: 'A PEM text is damaged: a block without its end, or content that is not base64.',
  ERR_CRYPTO_KEY_MISSING: 'The source holds no key of the kind that was asked for.',
  ERR_CRYPTO_KEY_AMBIGUOUS: 'The source holds several keys, and nothing says which one is meant.',
  ERR_CRYPTO_KEY_MALFORMED: 'A key cannot be decoded.',
  ERR_CRYPTO_KEY_WRONG_KIND: 'A private key was given where a public one belongs, or a secret where a key pair belongs, or the reverse.',
  ERR_CRYPTO_KEY_UNSUPPORTED: 'A key of a type, curve, format or encryption that this library or this runtime does not take.',
  ERR_CRYPTO_KEY_WEAK: 'A key that is too short, or an RSA key with an unsound public exponent.',
  ERR_CRYPTO_KEY_INCONSISTENT: 'The private and the public part of a key do not belong together.',
  ERR_CRYPTO_CERTIFICATE_MISSING: 'The source holds no certificate.',
  ERR_CRYPTO_CERTIFICATE_MALFORMED: 'A certificate cannot be decoded, or holds names that are not what their type allows.',
  ERR_CRYPTO_CERTIFICATE_MISMATCH: 'No certificate of the source belongs to the private key.',
  ERR_CRYPTO_PASSWORD_REQUIRED: 'The key or store is encrypted, and no password was given.',
  ERR_CRYPTO_PASSWORD_WRONG: 'The password does not open the key or store, or its content is damaged.',
  ERR_CRYPTO_PASSWORD_UNUSED: 'A password was given for a key that is not encrypted, so what was thought protected is not.',
  ERR_CRYPTO_PKCS12_MALFORMED: 'A PKCS#12 store cannot be decoded.',
  ERR_CRYPTO_PKCS12_UNSUPPORTED: 'A PKCS#12 store uses an encryption or integrity mode that this library does not read.',
  ERR_CRYPTO_ALIAS_UNKNOWN: 'The PKCS#12 store has no entry with this alias.',
  ERR_CRYPTO_WORK_EXCESSIVE: 'A file or a stored hash demands more computation or memory than allowed.',
  ERR_CRYPTO_ALGORITHM_UNKNOWN: 'An algorithm name that this library does not know.',
  ERR_CRYPTO_ALGORITHM_MISMATCH: 'The algorithm and the key do not fit each other.',
  ERR_CRYPTO_ALGORITHM_UNAVAILABLE: 'The algorithm needs an optional package that is not installed, or a newer runtime.',
  ERR_CRYPTO_OPERATION_FAILED: 'A cryptographic operation failed inside the runtime.',
  ERR_CRYPTO_DECRYPTION_FAILED: 'A sealed text is damaged, or was sealed with another key or other additional data.',
  ERR_CRYPTO_PASSWORD_UNACCEPTABLE: 'A password to be hashed is empty, too long, or no well-formed Unicode.',
  ERR_CRYPTO_PASSWORD_HASH_MALFORMED: 'A stored password value is in no form that can be verified.',
  ERR_CRYPTO_HASHING_OVERLOADED: 'More password hashing is waiting than the queue, or the share of this source, takes.',
  ERR_CRYPTO_LEGACY_VALUE_MALFORMED: 'A value is not in one of the legacy wrapped forms.',
} as const satisfies Record<`ERR_CRYPTO_${string}`, string>

/** One of the keys of {@link cryptoErrorCodes}. */
export type CryptoErrorCode = keyof typeof cryptoErrorCodes

// Everything that is not named here is the mistake of whoever configured the key, file or call.
const families: Partial<Record<CryptoErrorCode, CryptoErrorFamily>> = {
  ERR_CRYPTO_DECRYPTION_FAILED: 'authentication',
  ERR_CRYPTO_PASSWORD_UNACCEPTABLE: 'authentication',
  ERR_CRYPTO_HASHING_OVERLOADED: 'unavailable',
  ERR_CRYPTO_OPERATION_FAILED: 'unavailable',
}

const publicTexts: Readonly<Record<CryptoErrorFamily, string>> = {
  authentication: 'The credentials were not accepted.',
  authorization: 'This is not permitted.',
  unavailable: 'The request cannot be judged at the moment.',
  configuration: 'The service is not configured correctly.',
}

/** What a {@link CryptoError} may carry beside its code and message. */
export interface CryptoErrorInit {
  /** The error that led here, for the log. */
  readonly cause?: unknown
  /** When it is worth trying again, in milliseconds. */
  readonly retryAfterMs?: number
}

/**
 * The error of every function of this package. Tell it by `code`; `message` and `cause` are for the log, and only
 * `publicMessage` may reach a peer. It carries the brand of the project's errors, so `isSecurityError` of
 * `@portcullis/core` knows it. It never holds a password or key material.
 */
export class CryptoError extends Error {
  readonly code: CryptoErrorCode
  readonly family: CryptoErrorFamily
  readonly retryAfterMs: number | undefined

  constructor(code: CryptoErrorCode, message: string, { cause, retryAfterMs }: CryptoErrorInit = {}) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'CryptoError'
    this.code = code
    this.family = families[code] ?? 'configuration'
    this.retryAfterMs = retryAfterMs
  }

  /** The text that a peer may read. */
  get publicMessage(): string {
    return publicTexts[this.family]
  }

  /** For the family `unavailable`: `overload` if the limit is ours, `outage` otherwise. */
  get reason(): 'overload' | 'outage' | undefined {
    if (this.family !== 'unavailable') return undefined
    return this.code === 'ERR_CRYPTO_HASHING_OVERLOADED' ? 'overload' : 'outage'
  }

  get [brand](): true {
    return true
  }
}
