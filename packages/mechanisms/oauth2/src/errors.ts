import { ConfigurationError, UnavailableError } from '@portcullis/core'

/** The codes of the errors and refusals of `@portcullis/oauth2`, each with its meaning. */
export const oauth2ErrorCodes = {
  ERR_OAUTH_UNREACHABLE: 'The authorization server could not be reached, or the connection broke.',
  ERR_OAUTH_SERVER_UNTRUSTED: 'No secure channel to the authorization server: its certificate is not one that is trusted for its name.',
  ERR_OAUTH_TIMEOUT: 'The authorization server did not answer in time.',
  ERR_OAUTH_ANSWER_TOO_LARGE: 'The answer of the authorization server is larger than any sound one.',
  ERR_OAUTH_ANSWER_INVALID: 'The answer of the authorization server is not what its specification says.',
  ERR_OAUTH_SERVER_FAILED: 'The authorization server answered that it cannot serve the request at the moment.',
  ERR_OAUTH_REFUSED: 'The authorization server refused the request; `error` holds its reason, such as invalid_client.',
  ERR_OAUTH_GRANT_ENDED: 'The grant is over: the refresh token was refused and there is no other; somebody has to log in again.',
  ERR_OAUTH_TOKEN_TYPE: 'The authorization server issued a token of another type than was asked for.',
  ERR_OAUTH_METADATA_INVALID: 'The metadata of the authorization server lack an endpoint, or belong to another issuer.',
  ERR_OAUTH_ENDPOINT_MISSING: 'An endpoint that is needed is not among those configured.',
  ERR_OAUTH_PARAMETER_RESERVED: 'An additional parameter has a name that the protocol itself uses.',
  ERR_OAUTH_LOGIN_FAILED: 'The user did not log in, or refused, or the answer did not belong to the request.',
  ERR_OAUTH_LOGIN_TIMEOUT: 'Nobody logged in within the time.',
  ERR_INTROSPECTION_INACTIVE:
    'The authorization server says that the token is not active: unknown, expired, revoked or not for this service.',
  ERR_INTROSPECTION_PROOF_MISSING: 'The token is bound to a key and came as a plain bearer token.',
  ERR_INTROSPECTION_OVERLOADED: 'More tokens wait to be introspected than the bound allows.',
  ERR_DPOP_PROOF_MALFORMED: 'The proof is no JWT of type dpop+jwt with a public key, or lacks a claim.',
  ERR_DPOP_PROOF_ALGORITHM: 'The proof is signed by an algorithm that is not taken, or that does not go with its key.',
  ERR_DPOP_PROOF_SIGNATURE: 'The signature of the proof does not verify.',
  ERR_DPOP_PROOF_TIME: 'The proof was made too long ago, or in the future.',
  ERR_DPOP_PROOF_REQUEST: 'The proof is for another method or address than those of the request.',
  ERR_DPOP_PROOF_TOKEN: 'The proof is for another access token.',
  ERR_DPOP_PROOF_REPLAYED: 'The proof was used before.',
  ERR_DPOP_NONCE: 'The proof has no nonce of this service, or an old one; a new one is sent along.',
  ERR_DPOP_KEY: 'The access token is bound to another key than that of the proof, or to none.',
  ERR_DPOP_BINDING_MISSING: 'The listener does not say which method and address the request had, so that no proof can be matched.',
  ERR_DPOP_REPLAYS_FULL: 'There is no room to remember another proof; nothing was forgotten to make some.',
  ERR_DPOP_REPLAYS_UNAVAILABLE: 'Whether the proof was used before cannot be told at the moment.',
  ERR_PROPAGATION_SHARED: 'The connection carries the calls of several callers, so no caller’s credential goes over it.',
  ERR_PROPAGATION_CREDENTIAL: 'The caller came with no credential that may be passed on to this target, or exchanged for it.',
  ERR_PROPAGATION_OVERLOADED: 'More tokens wait to be exchanged than the bound allows.',
} as const satisfies Record<`ERR_${string}`, string>

/** One of the keys of {@link oauth2ErrorCodes}. */
export type OAuth2ErrorCode = keyof typeof oauth2ErrorCodes

/**
 * The authorization server refused a request of ours (RFC 6749 section 5.2). For whoever wanted the token it is an
 * outage: that our own credentials are wrong says nothing about the caller's.
 */
export class OAuthRefusal extends UnavailableError<'ERR_OAUTH_REFUSED' | 'ERR_OAUTH_GRANT_ENDED'> {
  /** The registered error code, such as `invalid_grant`. */
  readonly error: string

  constructor(code: 'ERR_OAUTH_REFUSED' | 'ERR_OAUTH_GRANT_ENDED', error: string, message: string) {
    super(code, { message })
    this.error = error
  }
}

/** An outage, with a code of this package. */
export function outage(code: OAuth2ErrorCode, message: string, cause?: unknown): UnavailableError<OAuth2ErrorCode> {
  return new UnavailableError(code, { message, ...(cause !== undefined && { cause }) })
}

/** A mistake of whoever configures. */
export function mistake(code: OAuth2ErrorCode | 'ERR_OPTION_INVALID' | 'ERR_OPTION_MISSING', message: string): ConfigurationError {
  return new ConfigurationError(code, message)
}
