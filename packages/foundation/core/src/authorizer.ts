import type { AccessRequest } from './access-request.ts'
import type { Advice } from './authenticator.ts'
import { requireText } from './options.ts'
import type { Anonymous, Principal } from './principal.ts'

/** The authorizer accepts. */
export interface Granted {
  readonly outcome: 'granted'
}
/** The authorizer refuses: for want of rights (`forbid`), or until a stronger or fresher authentication (`stepUp`). */
export interface Denied {
  readonly outcome: 'forbid' | 'stepUp'
  readonly code: string
  readonly advice: Advice | undefined
  /** The leaf that decided, in words for the log. */
  readonly leaf: string
}
/** What an authorizer says. */
export type Authorization = Granted | Denied

/** What an authorizer may look at: a request without its credentials. */
export type Action = Pick<AccessRequest, 'action' | 'resource' | 'attributes'>

/**
 * Decides whether a proven principal may do this. One function; composed by `anyOf` and `allOf`. Anonymous peers come
 * here too where the policy admits them.
 *
 * A principal's `factors` are not looked at by {@link scope}: ask them by `principal.factorOf(issuer)`.
 */
export type Authorizer<P extends Principal | Anonymous = Principal | Anonymous> = (
  principal: P,
  action: Action,
) => Authorization | Promise<Authorization>

/** The one {@link Granted}. */
export const granted: Granted = Object.freeze({ outcome: 'granted' })

/** A refusal for want of rights; `leaf` names the rule for the log. */
export function forbid(leaf: string, details?: { readonly code?: string; readonly advice?: Advice }): Denied {
  return { outcome: 'forbid', code: details?.code ?? 'ERR_POLICY_FORBIDDEN', advice: details?.advice, leaf }
}

/** A refusal until the peer authenticates more strongly or afresh (RFC 9470). */
export function stepUp(leaf: string, advice: Advice): Denied {
  return { outcome: 'stepUp', code: 'ERR_STEP_UP_REQUIRED', advice, leaf }
}

/** Accepts whom was granted this scope, compared exactly (RFC 6749 section 3.3). */
export function scope(name: string): Authorizer {
  requireText('scope', name)
  const denied: Denied = Object.freeze({
    outcome: 'forbid',
    code: 'ERR_SCOPE_INSUFFICIENT',
    advice: Object.freeze({ scopes: Object.freeze([name]) }),
    leaf: `scope ${name}`,
  })
  return (principal) => (principal.kind === 'principal' && principal.scopes.has(name) ? granted : denied)
}
