import {
  authenticator,
  checkOptions,
  ConfigurationError,
  credentialOf,
  forTargets,
  isPrincipal,
  UnavailableError,
  type Anonymous,
  type Authenticator,
  type Credential,
  type DelegatedSource,
  type Principal,
} from '@portcullis/core'

/** Options of {@link forwarding}. */
export interface ForwardingOptions {
  /** What is forwarded: a user's password (Basic to Basic), or a bearer token (Bearer to Bearer). */
  readonly kind: 'basic' | 'bearer'
  /** The origins that callers' credentials may be sent to; others are refused. */
  readonly targets: readonly [string, ...string[]]
}

/** A mechanism that remembers what its principals presented, and the source that presents it again. */
export interface Forwarding<P extends Principal | Anonymous> {
  /** Takes the place of the mechanism in the guard. */
  readonly authenticate: Authenticator<P>
  /** For the client that calls on behalf of them. */
  readonly credentials: DelegatedSource
}

/**
 * Lets a service pass its caller's own credential on to services behind it, which judge it anew (D-14, D-16).
 *
 * **Who receives a credential can use it elsewhere**, so name only services that are trusted as much as this one; a
 * token for several audiences is what RFC 9700 section 2.3 advises against. Better is a token of one's own for the
 * caller's subject, or token exchange (RFC 8693).
 *
 * A credential is remembered for as long as its principal is in memory, and given up with it. A caller who came in by
 * another mechanism, or as the first of several factors, has none here: `ERR_HTTP_CALLER_UNKNOWN`. One that a service
 * behind refuses is not sent there again for this call: `ERR_SOURCE_EXHAUSTED`.
 */
export function forwarding<P extends Principal | Anonymous>(mechanism: Authenticator<P>, options: ForwardingOptions): Forwarding<P> {
  checkOptions<ForwardingOptions>('forwarding', options, { kind: true, targets: true })
  const { kind, targets } = options
  if (kind !== 'basic' && kind !== 'bearer') throw new ConfigurationError('ERR_OPTION_INVALID', 'forwarding `kind` is "basic" or "bearer".')
  const check = forTargets('forwarding', targets)
  const presented = new WeakMap<Principal, Credential>()
  const keep = <V>(verdict: V, credential: Credential | undefined): V => {
    const proven: unknown = typeof verdict === 'object' && verdict !== null && 'proven' in verdict ? verdict.proven : verdict
    if (credential !== undefined && isPrincipal(proven)) presented.set(proven, credential)
    return verdict
  }
  return {
    authenticate: authenticator<P>(
      mechanism.name,
      (request, context) => {
        const credential = credentialOf(request.credentials, kind)
        const verdict = mechanism.authenticate(request, context)
        return verdict instanceof Promise ? verdict.then((made) => keep(made, credential)) : keep(verdict, credential)
      },
      mechanism.offers,
    ),
    credentials: (request) => {
      check(request)
      const { onBehalfOf, refused } = request
      if (!isPrincipal(onBehalfOf))
        throw new ConfigurationError('ERR_CALLER_MISSING', 'forwarding: a call on behalf of a caller needs `onBehalfOf`.')
      const credential = [onBehalfOf, ...onBehalfOf.factors].map((principal) => presented.get(principal)).find((one) => one !== undefined)
      if (credential === undefined)
        throw new ConfigurationError(
          'ERR_HTTP_CALLER_UNKNOWN',
          `forwarding: ${onBehalfOf.subject} did not come in by ${mechanism.name}, or with other factors.`,
        )
      if (refused !== undefined)
        throw new UnavailableError('ERR_SOURCE_EXHAUSTED', 'forwarding: the caller has presented no other credential.')
      return { credential, ...(onBehalfOf.expiresAt && { expiresAt: onBehalfOf.expiresAt }) }
    },
  }
}
