import type { KeyObject } from 'node:crypto'
import type { RequestBinding } from '@portcullis/core'
import { isSecurityError } from '@portcullis/core'
import { jwkThumbprint, parsePublicKey, verifier, type SignatureAlgorithm, type Verifier } from '@portcullis/crypto'
import { decodeUnverified, type JwtClaims } from '@portcullis/jwt'
import type { OAuth2ErrorCode } from './errors.ts'

/** A proof that could be read. Nothing of it is believed before its signature is verified. */
export interface DpopProof {
  readonly thumbprint: string
  readonly claims: JwtClaims & { readonly jti: string; readonly iat: number }
  readonly isSigned: () => Promise<boolean>
}

/** Why a proof is refused. */
export type ProofFault = Extract<OAuth2ErrorCode, `ERR_DPOP_PROOF_${string}`>

// RSA-4096 with its key takes 2 KB, ML-DSA-87 with its key 10.
const maxProofLength = 12_288
const maxIdLength = 256

/** Reads a proof (RFC 9449 section 4.3, points 2 to 7), or says what is wrong with it. */
export function readProof(proof: string, algorithms: ReadonlySet<string>): DpopProof | ProofFault {
  if (proof.length > maxProofLength) return 'ERR_DPOP_PROOF_MALFORMED'
  try {
    const { header, claims } = decodeUnverified(proof)
    const { typ, alg, jwk } = header
    if (typeof typ !== 'string' || typ.toLowerCase() !== 'dpop+jwt') return 'ERR_DPOP_PROOF_MALFORMED'
    if (typeof alg !== 'string' || !algorithms.has(alg)) return 'ERR_DPOP_PROOF_ALGORITHM'
    if (typeof jwk !== 'object' || jwk === null || 'crit' in header) return 'ERR_DPOP_PROOF_MALFORMED'
    const { jti, iat } = claims
    if (typeof jti !== 'string' || jti === '' || jti.length > maxIdLength || typeof iat !== 'number') return 'ERR_DPOP_PROOF_MALFORMED'
    const key = parsePublicKey({ jwk: jwk as Readonly<Record<string, unknown>> })
    const check = checkOf(alg as SignatureAlgorithm, key)
    if (check === undefined) return 'ERR_DPOP_PROOF_ALGORITHM'
    const end = proof.lastIndexOf('.')
    const signature = Buffer.from(proof.slice(end + 1), 'base64url')
    return {
      thumbprint: jwkThumbprint(key),
      claims: { ...claims, jti, iat },
      isSigned: () => check.verifyAsync(proof.slice(0, end), signature),
    }
  } catch (error) {
    // A key that cannot be read, or that is private, is the peer's fault like everything else here.
    if (isSecurityError(error) || isCryptoError(error)) return 'ERR_DPOP_PROOF_MALFORMED'
    throw error
  }
}

/** Checks what a proof is about (RFC 9449 section 4.3, points 8, 9, 11 and 12). */
export function checkProof(
  { claims }: DpopProof,
  binding: RequestBinding,
  expected: { readonly tokenHash: string; readonly nowMs: number; readonly maxAgeMs: number; readonly toleranceMs: number },
): ProofFault | undefined {
  const { htm, htu, ath, iat } = claims
  if (htm !== binding.method || typeof htu !== 'string' || normalized(htu) === undefined || normalized(htu) !== normalized(binding.uri))
    return 'ERR_DPOP_PROOF_REQUEST'
  if (ath !== expected.tokenHash) return 'ERR_DPOP_PROOF_TOKEN'
  const ageMs = expected.nowMs - iat * 1000
  return ageMs > expected.maxAgeMs || -ageMs > expected.toleranceMs ? 'ERR_DPOP_PROOF_TIME' : undefined
}

function checkOf(algorithm: SignatureAlgorithm, key: KeyObject): Verifier | undefined {
  try {
    return verifier(algorithm, key, { format: 'jose' })
  } catch (error) {
    if (isCryptoError(error)) return undefined
    throw error
  }
}

function isCryptoError(error: unknown): boolean {
  return (error as { readonly code?: unknown } | null)?.code?.toString().startsWith('ERR_CRYPTO_') === true
}

const unreserved = /^[A-Za-z0-9._~-]$/

/** An address as RFC 3986 section 6.2.2 and 6.2.3 make it comparable, without query and fragment; `undefined` if it is none. */
function normalized(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { protocol, host, pathname, username, password } = new URL(text)
  if (host === '' || username !== '' || password !== '') return undefined
  const path = pathname.replace(/%[0-9a-f]{2}/gi, (escape) => {
    const character = String.fromCharCode(Number.parseInt(escape.slice(1), 16))
    return unreserved.test(character) ? character : escape.toUpperCase()
  })
  return `${protocol}//${host}${path}`
}
