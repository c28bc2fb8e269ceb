import { fromBase64url } from '@portcullis/crypto'
import { compactDecrypt, CompactEncrypt } from 'jose'
import { decodeObject, maxTokenLength } from './compact.ts'
import type { BoundKey, ContentEncryption, Decryption } from './encryption.ts'
import { refuse, type JwtRefused } from './errors.ts'

// A header that holds an ephemeral key and an identifier has a tenth of it.
const maxHeaderLength = 2_048

/** Encrypts a token as the content of a JWE. */
export async function encrypt(token: string, { key, keyId, algorithm }: BoundKey, encryption: ContentEncryption): Promise<string> {
  return new CompactEncrypt(Buffer.from(token, 'latin1'))
    .setProtectedHeader({ alg: algorithm, enc: encryption, cty: 'JWT', ...(keyId !== undefined && { kid: keyId }) })
    .encrypt(key)
}

/**
 * Opens a JWE whose content is a token. The header chooses among the configured keys and algorithms, nothing else; each
 * key is used with its one algorithm. Content that is compressed is refused: its size would be the sender's choice,
 * and compression tells about what is encrypted (RFC 8725 section 3.6).
 */
export async function decrypt(token: string, { keys, encryptions }: Decryption): Promise<string | JwtRefused> {
  if (token.length > maxTokenLength) return refuse('ERR_JWT_TOO_LARGE')
  const parts = token.split('.')
  if (parts.length !== 5) return refuse('ERR_JWT_MALFORMED')
  const [headerText = ''] = parts
  if (headerText.length > maxHeaderLength) return refuse('ERR_JWT_TOO_LARGE', 'header')
  if (parts.some((part) => fromBase64url(part) === undefined)) return refuse('ERR_JWT_BASE64URL')
  const header = decodeObject(headerText)
  if (typeof header === 'string') return refuse(header, 'header')
  const { alg, enc, kid, cty } = header
  if (kid !== undefined && typeof kid !== 'string') return refuse('ERR_JWT_HEADER_INVALID', 'kid')
  // RFC 7519 section 5.2: that a token is inside must be said.
  if (typeof cty !== 'string' || cty.toLowerCase() !== 'jwt') return refuse('ERR_JWT_HEADER_INVALID', 'cty')
  if (Object.hasOwn(header, 'crit')) return refuse('ERR_JWT_CRITICAL_UNKNOWN', 'crit')
  if (Object.hasOwn(header, 'zip')) return refuse('ERR_JWT_ENCRYPTION_NOT_ALLOWED', 'zip')
  const encryption = encryptions.find((name) => name === enc)
  if (encryption === undefined) return refuse('ERR_JWT_ENCRYPTION_NOT_ALLOWED', 'enc')
  const named = keys.filter((key) => kid !== undefined && key.keyId === kid)
  const candidates = named.length > 0 ? named : kid === undefined ? keys : keys.filter((key) => key.keyId === undefined)
  if (candidates.length === 0) return refuse('ERR_JWT_KEY_UNKNOWN', 'kid')
  const [key, another] = candidates.filter((one) => one.algorithm === alg)
  if (key === undefined) return refuse('ERR_JWT_ENCRYPTION_NOT_ALLOWED', 'alg')
  if (another !== undefined) return refuse('ERR_JWT_KEY_AMBIGUOUS', 'kid')
  try {
    const { plaintext } = await compactDecrypt(token, key.key, {
      keyManagementAlgorithms: [key.algorithm],
      contentEncryptionAlgorithms: [encryption],
      maxDecompressedLength: 0,
    })
    return Buffer.from(plaintext).toString('latin1')
  } catch (cause) {
    // One answer for whatever failed: which step it was is nobody's business (RFC 7516 section 11.5).
    return refuse('ERR_JWT_DECRYPTION_FAILED', cause)
  }
}
