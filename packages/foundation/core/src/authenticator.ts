import type { AccessRequest } from './access-request.ts'
import type { Clock } from './clock.ts'
import { ConfigurationError } from './errors.ts'
import type { Anonymous, Principal } from './principal.ts'

/**
 * An authentication scheme on offer to peers (RFC 9110 section 11.6.1), from which each protocol makes its challenge.
 * `parameters` are fixed, such as `realm` or `resource_metadata`; what depends on the refusal comes as {@link Advice}.
 */
export interface Offer {
  /** As registered, such as `Bearer`. Empty for what has no scheme, like a client certificate. */
  readonly scheme: string
  readonly parameters?: Readonly<Record<string, string>>
}

/** What a peer may be told so that its next attempt succeeds. */
export interface Advice {
  /** The scopes that are needed. */
  readonly scopes?: readonly string[]
  /** Acceptable authentication context classes (RFC 9470). */
  readonly acrValues?: readonly string[]
  /** The greatest age of the authentication, in seconds (RFC 9470). */
  readonly maxAgeSeconds?: number
  /** The nonce to use in the next proof (RFC 9449 section 8); travels on success too. */
  readonly nonce?: string
  /** A registered error code of the scheme, such as `use_dpop_nonce`, where the usual one does not fit. */
  readonly error?: string
}

/** The credentials presented are of no kind that this authenticator judges. */
export const notMine: unique symbol = Symbol.for('portcullis.notMine') as never
/** See {@link notMine}. */
export type NotMine = typeof notMine

/** The credential was judged and is not accepted. */
export interface Refused {
  readonly refused: string
  /** `malformed` if it could not even be read. */
  readonly reason: 'invalid' | 'malformed'
  readonly advice: Advice | undefined
  readonly cause: unknown
}

/**
 * A refusal as value: forty times cheaper than a throw. `code` is stable and for the log and the audit event; the peer
 * is told only what its protocol says for the reason.
 */
export function refused(
  code: string,
  details?: { readonly reason?: 'invalid' | 'malformed'; readonly advice?: Advice; readonly cause?: unknown },
): Refused {
  return { refused: code, reason: details?.reason ?? 'invalid', advice: details?.advice, cause: details?.cause }
}

/** A principal with what must be said along with it. */
export interface Proven<P extends Principal | Anonymous = Principal> {
  readonly proven: P
  readonly advice?: Advice
  /**
   * The thumbprint (RFC 7638, `jkt`) of a key whose possession the peer has just shown *for this request*. The guard
   * compares it with the principal's confirmation.
   */
  readonly possession?: { readonly jkt: string }
}

/** What an authenticator says of a request. Outages are thrown as `UnavailableError`. */
export type Verdict<P extends Principal | Anonymous = Principal> = P | Proven<P> | NotMine | Refused

/** What an authenticator may use while it judges. */
export interface AuthenticationContext {
  readonly clock: Clock
  /** Aborts when the listener no longer wants the answer. Made when first read, since most decisions need none. */
  readonly signal: AbortSignal
}

/**
 * A mechanism: proves who a peer is, or refuses. Made by {@link authenticator} and by the mechanism packages.
 */
export interface Authenticator<P extends Principal | Anonymous = Principal> {
  /** Appears in explanations and audit events. */
  readonly name: string
  readonly offers: readonly Offer[]
  readonly authenticate: (request: AccessRequest, context: AuthenticationContext) => Verdict<P> | Promise<Verdict<P>>
}

/**
 * Makes a mechanism out of one function. It returns a principal that it vouches for, `notMine` for a kind of
 * credential that it does not judge, `refused(code)`, or a promise of one of these; it throws `UnavailableError` when
 * it cannot tell. Anything else that it returns or throws ends in `unavailable`, never in `allow`.
 *
 * `offers` are the schemes to challenge with; without any, a peer that presents nothing is answered "forbidden" by
 * protocols that cannot challenge without one.
 */
export function authenticator<P extends Principal | Anonymous = Principal>(
  name: string,
  authenticate: (request: AccessRequest, context: AuthenticationContext) => Verdict<P> | Promise<Verdict<P>>,
  offers: readonly Offer[] = [],
): Authenticator<P> {
  if (typeof name !== 'string' || name === '') throw new ConfigurationError('ERR_OPTION_INVALID', 'An authenticator needs a name.')
  if (typeof authenticate !== 'function') throw new ConfigurationError('ERR_OPTION_INVALID', `Authenticator "${name}" needs a function.`)
  return Object.freeze({ name, authenticate, offers: Object.freeze(offers.map((offer) => Object.freeze({ ...offer }))) })
}
