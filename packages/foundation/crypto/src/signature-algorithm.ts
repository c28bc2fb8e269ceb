import type { KeyObject } from 'node:crypto'
import { CryptoError } from './errors.ts'

/** The signature algorithms by their JOSE names (RFC 7518 section 3.1, RFC 8037, RFC 8812, RFC 9864, RFC 9964). */
export type SignatureAlgorithm =
  | 'RS256'
  | 'RS384'
  | 'RS512'
  | 'PS256'
  | 'PS384'
  | 'PS512'
  | 'ES256'
  | 'ES384'
  | 'ES512'
  | 'ES256K'
  | 'EdDSA'
  | 'Ed25519'
  | 'ML-DSA-44'
  | 'ML-DSA-65'
  | 'ML-DSA-87'

/** What an algorithm demands of its key, and how it signs. */
export interface SignatureScheme {
  readonly family: 'pkcs1' | 'pss' | 'ecdsa' | 'plain'
  readonly keyTypes: readonly string[]
  readonly curve?: string
  readonly hash: string | undefined
  /** The length of the hash, and of the salt of PSS; for ECDSA the length of one coordinate. In bytes. */
  readonly size: number
}

export const signatureSchemes: Readonly<Record<SignatureAlgorithm, SignatureScheme>> = {
  RS256: { family: 'pkcs1', keyTypes: ['rsa'], hash: 'sha256', size: 32 },
  RS384: { family: 'pkcs1', keyTypes: ['rsa'], hash: 'sha384', size: 48 },
  RS512: { family: 'pkcs1', keyTypes: ['rsa'], hash: 'sha512', size: 64 },
  PS256: { family: 'pss', keyTypes: ['rsa', 'rsa-pss'], hash: 'sha256', size: 32 },
  PS384: { family: 'pss', keyTypes: ['rsa', 'rsa-pss'], hash: 'sha384', size: 48 },
  PS512: { family: 'pss', keyTypes: ['rsa', 'rsa-pss'], hash: 'sha512', size: 64 },
  ES256: { family: 'ecdsa', keyTypes: ['ec'], curve: 'prime256v1', hash: 'sha256', size: 32 },
  ES384: { family: 'ecdsa', keyTypes: ['ec'], curve: 'secp384r1', hash: 'sha384', size: 48 },
  ES512: { family: 'ecdsa', keyTypes: ['ec'], curve: 'secp521r1', hash: 'sha512', size: 66 },
  ES256K: { family: 'ecdsa', keyTypes: ['ec'], curve: 'secp256k1', hash: 'sha256', size: 32 },
  EdDSA: { family: 'plain', keyTypes: ['ed25519'], hash: undefined, size: 64 },
  Ed25519: { family: 'plain', keyTypes: ['ed25519'], hash: undefined, size: 64 },
  'ML-DSA-44': { family: 'plain', keyTypes: ['ml-dsa-44'], hash: undefined, size: 2420 },
  'ML-DSA-65': { family: 'plain', keyTypes: ['ml-dsa-65'], hash: undefined, size: 3309 },
  'ML-DSA-87': { family: 'plain', keyTypes: ['ml-dsa-87'], hash: undefined, size: 4627 },
}

/** All algorithm names. */
export const signatureAlgorithms: readonly SignatureAlgorithm[] = Object.freeze(Object.keys(signatureSchemes) as SignatureAlgorithm[])

/** The algorithms that a key can be used with; for an RSA-PSS key with parameters only the one that they name. */
export function signatureAlgorithmsOf(key: KeyObject): readonly SignatureAlgorithm[] {
  return signatureAlgorithms.filter((algorithm) => fits(signatureSchemes[algorithm], key))
}

/**
 * The scheme of an algorithm, if it fits the key: type, curve, and the parameters that an RSA-PSS key carries.
 * Throws `ERR_CRYPTO_ALGORITHM_UNKNOWN` or `ERR_CRYPTO_ALGORITHM_MISMATCH`. Strength is checked when a key is loaded.
 */
export function schemeFor(algorithm: SignatureAlgorithm, key: KeyObject): SignatureScheme {
  if (!Object.hasOwn(signatureSchemes, algorithm)) {
    throw new CryptoError('ERR_CRYPTO_ALGORITHM_UNKNOWN', `A signature algorithm is one of ${signatureAlgorithms.join(', ')}.`)
  }
  const scheme = signatureSchemes[algorithm]
  if (!fits(scheme, key)) {
    const what = key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? key.type
    throw new CryptoError('ERR_CRYPTO_ALGORITHM_MISMATCH', `The algorithm ${algorithm} does not fit a key of type ${what}.`)
  }
  return scheme
}

function fits({ keyTypes, curve, hash, size }: SignatureScheme, key: KeyObject): boolean {
  const type: string | undefined = key.asymmetricKeyType
  if (type === undefined || !keyTypes.includes(type)) return false
  const details = key.asymmetricKeyDetails ?? {}
  if (type === 'ec') return details.namedCurve === curve
  // Parameters of the key bind its use (RFC 4055 section 1.2); one without any leaves the choice to the algorithm.
  if (type !== 'rsa-pss' || details.hashAlgorithm === undefined) return true
  return details.hashAlgorithm === hash && details.mgf1HashAlgorithm === hash && (details.saltLength ?? 0) <= size
}
