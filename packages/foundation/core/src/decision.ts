import type { Advice, Offer } from './authenticator.ts'
import type { Anonymous, Principal } from './principal.ts'

/**
 * Why a request was not allowed. An adapter answers by a total `Record<Reason, …>`.
 *
 * - `missing`: nothing was presented that this policy takes, or a factor is missing.
 * - `malformed`: what was presented cannot be read, or there is too much of it.
 * - `invalid`: it was judged and not accepted.
 * - `stepUp`: accepted, but a stronger or fresher authentication is needed.
 * - `insufficientScope`: proven, without a scope that is needed.
 * - `forbidden`: proven, and refused by another rule.
 * - `outage`: something needed to judge does not answer. `overload`: a limit of ours is reached. `internal`: a fault of ours.
 */
export type Reason = 'missing' | 'malformed' | 'invalid' | 'stepUp' | 'insufficientScope' | 'forbidden' | 'outage' | 'overload' | 'internal'

/** One leaf of the policy as it was judged; for the log and the audit event, never for the wire. */
export interface LeafExplanation {
  /** The authenticator's name. */
  readonly leaf: string
  readonly outcome: 'proven' | 'unavailable' | 'forbid' | 'invalid' | 'missing' | 'notJudged'
  readonly code?: string
  readonly cause?: unknown
}

/** Why a decision came out as it did: every leaf, and what the authorizer said of each alternative that was proven. */
export interface Explanation {
  readonly leaves: readonly LeafExplanation[]
  readonly authorization: readonly { readonly alternative: readonly string[]; readonly outcome: string; readonly leaf?: string }[]
}

/** Allowed. */
export interface Allow<P extends Principal | Anonymous = Principal | Anonymous> {
  readonly outcome: 'allow'
  readonly principal: P
  /** What must be said along with the answer, such as a nonce (an adapter's `acknowledge`). */
  readonly advice: Advice | undefined
  readonly code?: undefined
  explain(): Explanation
}

interface RefusalBase {
  /** Stable, for log and audit. */
  readonly code: string
  readonly advice: Advice | undefined
  /** The schemes of the leaves, without repetition, in the order of the policy. */
  readonly offers: readonly Offer[]
  /** For the log: the error that led here, if one did. */
  readonly cause: unknown
  explain(): Explanation
}

/** The peer must present something, something else, or something better. */
export interface Challenge extends RefusalBase {
  readonly outcome: 'challenge'
  readonly reason: 'missing' | 'malformed' | 'invalid' | 'stepUp'
}
/** The peer is known and may not. */
export interface Forbid extends RefusalBase {
  readonly outcome: 'forbid'
  readonly reason: 'insufficientScope' | 'forbidden'
}
/** Nobody can tell at the moment. */
export interface Unavailable extends RefusalBase {
  readonly outcome: 'unavailable'
  readonly reason: 'outage' | 'overload' | 'internal'
  /** For `outage` and `overload`, when it is worth trying again. */
  readonly retryAfterMs: number | undefined
}

/** Every decision that is not `allow`. */
export type Refusal = Challenge | Forbid | Unavailable
/** What a guard says: a union on `outcome` and `reason`; no null, no boolean. */
export type Decision<P extends Principal | Anonymous = Principal | Anonymous> = Allow<P> | Refusal
