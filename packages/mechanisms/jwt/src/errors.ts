import { AuthenticationError, type Refused } from '@portcullis/core'

/** The codes of the refusals and errors of `@portcullis/jwt`, each with its meaning. */
export const jwtErrorCodes = {
  ERR_JWT_TOO_LARGE: 'The token is longer than any sound one.',
  ERR_JWT_MALFORMED: 'The token is not three parts joined by dots (five, where it is encrypted).',
  ERR_JWT_BASE64URL: 'A part is not base64url in its one canonical spelling: padding, white space, foreign characters or trailing bits.',
  ERR_JWT_UTF8: 'A part is not well-formed UTF-8, or holds half of a surrogate pair.',
  ERR_JWT_JSON: 'A part is not a JSON object.',
  ERR_JWT_MEMBER_DUPLICATE: 'A JSON object has two members of one name.',
  ERR_JWT_MEMBER_FORBIDDEN: 'A JSON object has a member called __proto__.',
  ERR_JWT_TOO_DEEP: 'JSON is nested deeper than any sound token.',
  ERR_JWT_HEADER_INVALID: 'A header parameter is missing or of a wrong type.',
  ERR_JWT_CRITICAL_UNKNOWN: 'The header demands an extension (crit) that is not understood, or crit itself is unsound.',
  ERR_JWT_PAYLOAD_UNENCODED: 'The header asks for an unencoded payload (b64), which a JWT never has.',
  ERR_JWT_UNSECURED: 'The token says that it is not signed.',
  ERR_JWT_ALGORITHM_NOT_ALLOWED: 'The algorithm of the token is not one that its issuer and key are configured for.',
  ERR_JWT_TYPE_UNEXPECTED: 'The token is of another type (typ) than expected.',
  ERR_JWT_CLAIM_MISSING: 'A claim that is required is absent.',
  ERR_JWT_CLAIM_INVALID: 'A claim has a value of a wrong type or out of every sound range.',
  ERR_JWT_CLAIM_UNEXPECTED: 'A claim has another value than the one demanded.',
  ERR_JWT_CLAIMS_REJECTED: 'The claims do not fit the schema given.',
  ERR_JWT_ISSUER_UNKNOWN: 'The token is of an issuer that is not configured.',
  ERR_JWT_AUDIENCE_UNEXPECTED: 'The token is meant for somebody else.',
  ERR_JWT_EXPIRED: 'The token has expired.',
  ERR_JWT_NOT_YET_VALID: 'The token is not valid yet.',
  ERR_JWT_TOO_OLD: 'The token was issued longer ago than allowed, or in the future.',
  ERR_JWT_KEY_UNKNOWN: 'No key of the issuer has the identifier that the token names.',
  ERR_JWT_KEY_AMBIGUOUS: 'The token names no key, and several of the issuer would fit.',
  ERR_JWT_KEY_OUT_OF_DATE: 'The certificate that holds the key is expired or not yet valid.',
  ERR_JWT_SIGNATURE_INVALID: 'The signature does not verify.',
  ERR_JWT_REVOKED: 'The token, its subject, its session or its key was revoked.',
  ERR_JWT_CONFIRMATION_UNSUPPORTED: 'The token is bound to a key (cnf) in a way that is not understood.',
  ERR_JWT_PROOF_MISSING: 'The token is bound to a key and came as a plain bearer token.',
  ERR_JWT_ENCRYPTION_NOT_ALLOWED: 'The token is encrypted by algorithms, or with header parameters, that are not allowed.',
  ERR_JWT_DECRYPTION_FAILED: 'The token does not decrypt with the configured keys.',
  ERR_JWT_KEYS_UNAVAILABLE: 'The keys of the issuer could not be read, or not recently enough.',
  ERR_JWT_KEY_SET_INVALID: 'What the issuer publishes as its keys is no usable key set.',
  ERR_JWT_REVOCATION_UNAVAILABLE: 'Whether the token was revoked cannot be told at the moment.',
  ERR_JWT_OVERLOADED: 'More signatures wait to be verified than the bounded queue takes.',
  ERR_JWT_DENY_LIST_FULL: 'The deny list has no room; nothing was forgotten to make some.',
  ERR_JWT_ALGORITHM_UNKNOWN: 'An algorithm name that this library, or this runtime, does not have.',
  ERR_JWT_KEY_UNUSABLE: 'A key does not fit its algorithm, or is too weak for it.',
  ERR_JWT_KEY_DUPLICATE: 'Two keys of one set have one identifier and one algorithm.',
  ERR_JWT_ISSUER_DUPLICATE: 'Two rows of the table of issuers have one issuer.',
} as const satisfies Record<`ERR_JWT_${string}`, string>

/** One of the keys of {@link jwtErrorCodes}. */
export type JwtErrorCode = keyof typeof jwtErrorCodes

const malformed: ReadonlySet<JwtErrorCode> = new Set<JwtErrorCode>([
  'ERR_JWT_TOO_LARGE',
  'ERR_JWT_MALFORMED',
  'ERR_JWT_BASE64URL',
  'ERR_JWT_UTF8',
  'ERR_JWT_JSON',
  'ERR_JWT_MEMBER_DUPLICATE',
  'ERR_JWT_MEMBER_FORBIDDEN',
  'ERR_JWT_TOO_DEEP',
])

// A class, so that no object parsed out of a token, whatever its members, passes for a refusal.
class Refusal implements Refused {
  readonly refused: JwtErrorCode
  readonly reason: 'invalid' | 'malformed'
  readonly advice = undefined
  readonly cause: unknown

  constructor(code: JwtErrorCode, cause: unknown) {
    this.refused = code
    this.reason = malformed.has(code) ? 'malformed' : 'invalid'
    this.cause = cause
  }
}

/** A refusal of this package: core's {@link Refused}, with a code of this package's closed union. `cause` names the claim or parameter, never its value. */
export type JwtRefused = Refusal

/** A refusal as value. */
export function refuse(code: JwtErrorCode, cause?: unknown): JwtRefused {
  return new Refusal(code, cause)
}

/** Tells a refusal of this package from what was verified. */
export function isRefused(value: unknown): value is JwtRefused {
  return value instanceof Refusal
}

/** The refusal as an error, for callers that throw. */
export function errorOf(refusal: JwtRefused): AuthenticationError<JwtErrorCode> {
  const about = typeof refusal.cause === 'string' ? ` (${refusal.cause})` : ''
  return new AuthenticationError(refusal.refused, { message: `${jwtErrorCodes[refusal.refused]}${about}`, cause: refusal.cause })
}
