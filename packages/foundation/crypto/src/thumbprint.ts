import type { KeyObject, X509Certificate } from 'node:crypto'
import { digest, type DigestAlgorithm } from './digest.ts'
import { isKeyObject, type JsonWebKey } from './key-source.ts'
import { publicJwk, requiredOf } from './jwk.ts'

/**
 * The thumbprint of a certificate as tokens carry it in `x5t#S256` (RFC 7515 section 4.1.8, RFC 8705 section 3.1):
 * the SHA-256 of its DER bytes as base64url.
 */
export function certificateThumbprint(certificate: X509Certificate | Uint8Array): string {
  return digest('sha256', certificate instanceof Uint8Array ? certificate : certificate.raw, 'base64url')
}

/**
 * The thumbprint of a key by RFC 7638, as base64url: the same for its public and private half, whatever else the
 * JWK holds. For ML-DSA keys by RFC 9964. Throws `ERR_CRYPTO_KEY_MALFORMED` if a required member is
 * missing or no canonical base64url, `ERR_CRYPTO_KEY_UNSUPPORTED` for an unknown type.
 */
export function jwkThumbprint(key: KeyObject | JsonWebKey, algorithm: DigestAlgorithm = 'sha256'): string {
  const jwk = isKeyObject(key) ? (key.type === 'secret' ? key.export({ format: 'jwk' }) : publicJwk(key)) : key
  // RFC 7638 section 3.3: without white space, members in lexicographic order, as the table has them.
  return digest(algorithm, JSON.stringify(Object.fromEntries(requiredOf(jwk))), 'base64url')
}
