import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto'
import { ConfigurationError } from '@portcullis/core'
import { signatureAlgorithms, signatureAlgorithmsOf, signer, verifier, type SignatureAlgorithm } from '@portcullis/crypto'
import type { JwtErrorCode } from './errors.ts'

/** The algorithms of shared secrets (RFC 7518 section 3.2). */
export type HmacAlgorithm = 'HS256' | 'HS384' | 'HS512'

/** An algorithm that signs tokens: RSA, RSA-PSS, ECDSA, EdDSA, HMAC, ML-DSA. `none` is not one. */
export type Algorithm = SignatureAlgorithm | HmacAlgorithm

const hmacRows: Readonly<Record<HmacAlgorithm, { readonly hash: string; readonly length: number }>> = {
  HS256: { hash: 'sha256', length: 32 },
  HS384: { hash: 'sha384', length: 48 },
  HS512: { hash: 'sha512', length: 64 },
}

/** All algorithm names. */
export const algorithms: readonly Algorithm[] = Object.freeze([...signatureAlgorithms, ...(Object.keys(hmacRows) as HmacAlgorithm[])])
const names: ReadonlySet<unknown> = new Set(algorithms)

/** Tells whether a value, perhaps chosen by a peer, names an algorithm. */
export function isAlgorithm(name: unknown): name is Algorithm {
  return names.has(name)
}

/**
 * The algorithms that a key is used for where nothing else is said: those of its curve or type, RS256 for RSA (which
 * every issuer has), HS256 for a secret. Nothing here depends on a token.
 */
export function defaultAlgorithms(key: KeyObject): readonly Algorithm[] {
  if (key.type === 'secret') return ['HS256']
  return key.asymmetricKeyType === 'rsa' ? ['RS256'] : signatureAlgorithmsOf(key)
}

/** One key used with one algorithm to verify. Signatures of a wrong form are false, never an error. */
export interface SignatureCheck {
  readonly algorithm: Algorithm
  verify(data: Buffer, signature: Buffer): boolean
  /** The same on the thread pool; absent where it is so cheap that it is never worth a thread. */
  readonly verifyAsync?: (data: Buffer, signature: Buffer) => Promise<boolean>
}

/** Binds a public key or secret to an algorithm; throws `ERR_JWT_KEY_UNUSABLE`. */
export function signatureCheck(algorithm: Algorithm, key: KeyObject): SignatureCheck {
  if (isHmac(algorithm)) {
    requireSecret(algorithm, key)
    const { hash, length } = hmacRows[algorithm]
    return {
      algorithm,
      verify: (data, signature) => signature.length === length && timingSafeEqual(createHmac(hash, key).update(data).digest(), signature),
    }
  }
  requireFit(algorithm, key)
  return verifier(algorithm, key)
}

/** One key used with one algorithm to sign. */
export interface SignatureMaker {
  readonly algorithm: Algorithm
  /** Signs, where it takes long on the thread pool. */
  sign(data: Buffer): Buffer | Promise<Buffer>
}

/** Binds a private key or secret to an algorithm; throws `ERR_JWT_KEY_UNUSABLE`. */
export function signatureMaker(algorithm: Algorithm, key: KeyObject): SignatureMaker {
  if (isHmac(algorithm)) {
    requireSecret(algorithm, key)
    return { algorithm, sign: (data) => createHmac(hmacRows[algorithm].hash, key).update(data).digest() }
  }
  requireFit(algorithm, key)
  const bound = signer(algorithm, key)
  return { algorithm, sign: (data) => bound.signAsync(data) }
}

function isHmac(algorithm: Algorithm): algorithm is HmacAlgorithm {
  return Object.hasOwn(hmacRows, algorithm)
}

function requireSecret(algorithm: HmacAlgorithm, key: KeyObject): void {
  if (key.type !== 'secret') throw unusable(`${algorithm} takes a secret, and this is a ${key.type} key`)
  const { length } = hmacRows[algorithm]
  if ((key.symmetricKeySize ?? 0) < length) throw unusable(`a secret for ${algorithm} has at least ${length} bytes (RFC 7518 section 3.2)`)
}

function requireFit(algorithm: SignatureAlgorithm, key: KeyObject): void {
  if (key.type === 'secret' || !signatureAlgorithmsOf(key).includes(algorithm)) {
    throw unusable(
      `${algorithm} does not go with a key of type ${key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? key.type}`,
    )
  }
}

function unusable(why: string): ConfigurationError<JwtErrorCode> {
  return new ConfigurationError('ERR_JWT_KEY_UNUSABLE', `The key cannot be used: ${why}.`)
}
