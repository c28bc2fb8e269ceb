import { decodeObject, maxTokenLength } from './compact.ts'
import { errorOf, refuse } from './errors.ts'
import type { JsonObject } from './strict-json.ts'

/** What a token says of itself. */
export interface UnverifiedJwt {
  readonly header: JsonObject
  readonly claims: JsonObject
}

/**
 * Reads a signed token **without verifying anything**: whoever sent it may have written every word of it. For display
 * and diagnosis, and to see whose token it claims to be; never to decide.
 *
 * The text is read as strictly as by `verify()`. Throws an `AuthenticationError` with the codes for unreadable tokens.
 */
export function decodeUnverified(token: string): UnverifiedJwt {
  if (typeof token !== 'string') throw errorOf(refuse('ERR_JWT_MALFORMED'))
  if (token.length > maxTokenLength) throw errorOf(refuse('ERR_JWT_TOO_LARGE'))
  const parts = token.split('.')
  const [header, claims] = parts
  if (header === undefined || claims === undefined || parts.length !== 3) throw errorOf(refuse('ERR_JWT_MALFORMED'))
  return { header: read(header, 'header'), claims: read(claims, 'payload') }
}

function read(part: string, name: string): JsonObject {
  const value = decodeObject(part)
  if (typeof value === 'string') throw errorOf(refuse(value, name))
  return value
}
