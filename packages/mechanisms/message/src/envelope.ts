import type { RequestBinding } from '@portcullis/core'
import { digest } from '@portcullis/crypto'
import { parseObject } from '@portcullis/jwt'

/**
 * The `typ` of an envelope. It is demanded on reading, so that an access token never passes for a signed message, and
 * no verifier of access tokens takes an envelope (RFC 8725 section 3.11).
 */
export const envelopeType = 'portcullis-message+jwt'

/** The `typ` of the signature over a batch (ADR 8). */
export const batchType = 'portcullis-batch+jwt'
/** The `typ` of the handshake of a MAC session (ADR 9). */
export const sessionType = 'portcullis-session+jwt'

/** What an envelope says beside `iss`, `sub`, `aud`, `iat` and `jti` (the message's identifier). */
export interface EnvelopeClaims {
  /** The address: topic, exchange and routing key, subject. */
  readonly dst: string
  /** SHA-256 of the payload, base64url. */
  readonly dig: string
  /** SHA-256 of the message key, base64url; absent if the message has none. */
  readonly kdg?: string
  /** SHA-256 of the caller's token that goes along, base64url; absent if none does. */
  readonly cdg?: string
  /** The names of the headers that are signed, in order; absent if none are. */
  readonly hdr?: readonly string[]
  /** SHA-256 over names and values of those headers, base64url. */
  readonly hdg?: string
}

/** The claims for a message, with these headers. A header that is named and absent is signed as absent. */
export function claimsOf(binding: RequestBinding, headers: readonly string[]): EnvelopeClaims {
  const key = keyDigest(binding)
  const caller = callerDigest(binding)
  return {
    dst: binding.uri,
    dig: binding.contentDigest ?? '',
    ...(key !== undefined && { kdg: key }),
    ...(caller !== undefined && { cdg: caller }),
    ...(headers.length > 0 && { hdr: headers, hdg: headersDigest(binding, headers) }),
  }
}

/** Digest of the message key, if there is one. */
export function keyDigest({ message }: RequestBinding): string | undefined {
  return message?.key === undefined ? undefined : digest('sha256', message.key, 'base64url')
}

/** Digest of the caller's token, if one goes along. */
export function callerDigest({ message }: RequestBinding): string | undefined {
  return message?.caller === undefined ? undefined : digest('sha256', message.caller, 'base64url')
}

/** Digest of the named headers: every name and value with its length before it, so that no two lists have one text. */
export function headersDigest({ message }: RequestBinding, names: readonly string[]): string {
  let text = ''
  for (const name of names) {
    const value = message?.headers.get(name)
    text += `${name.length}:${name}${value === undefined ? '-' : `${value.length}:${value}`}`
  }
  return digest('sha256', text, 'base64url')
}

/**
 * What a message of a batch or session says of itself, as text that stands in a header as it is: JSON in printable
 * ASCII, without the marks that part an envelope. What is anything else is escaped.
 */
export function writeClaims(claims: Readonly<Record<string, unknown>>): string {
  return JSON.stringify(claims).replace(/[^\x21-\x7d]|\^/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/**
 * The reverse of {@link writeClaims}, as strict as for the payload of a token: `undefined` for what is no JSON object, has
 * a member twice, or is not ASCII. Beyond ASCII two texts may have one hash: a half surrogate and U+FFFD are the same bytes.
 */
export function readClaims(text: string): Record<string, unknown> | undefined {
  if (Buffer.byteLength(text) !== text.length) return undefined
  const claims = parseObject(text)
  return typeof claims === 'string' ? undefined : claims
}
