import { isUtf8 } from 'node:buffer'
import type { JwtErrorCode } from './errors.ts'
import { parseObject, type JsonObject } from './strict-json.ts'

/**
 * The most characters of a token: 16 KiB, which is what servers take as the whole of a request's header. ML-DSA-87
 * signatures (6,172 characters) and encrypted tokens fit.
 */
export const maxTokenLength = 16_384

// One thread, and nothing below waits: each use is over before the next begins.
const scratch = Buffer.allocUnsafeSlow(maxTokenLength)
const replacement = '\uFFFD'

/** Decodes base64url into bytes of its own; only the one canonical spelling is taken, so that a token has exactly one accepted text. */
export function decodeBytes(part: string): Buffer | undefined {
  const bytes = Buffer.from(part, 'base64url')
  return bytes.toString('base64url') === part ? bytes : undefined
}

/**
 * Decodes a part that is a JSON object: base64url, then UTF-8, then JSON, each in its strict form. The part is no
 * longer than {@link maxTokenLength}.
 */
export function decodeObject(part: string): JsonObject | JwtErrorCode {
  if (part === '') return 'ERR_JWT_MALFORMED'
  const length = scratch.write(part, 0, 'base64url')
  if (scratch.toString('base64url', 0, length) !== part) return 'ERR_JWT_BASE64URL'
  const text = scratch.toString('utf8', 0, length)
  // Ill-formed bytes decode to U+FFFD; where it shows up, look whether it was written or made.
  if (text.includes(replacement) && !isUtf8(scratch.subarray(0, length))) return 'ERR_JWT_UTF8'
  return parseObject(text)
}
