import {
  authenticator,
  isPrincipal,
  notMine,
  type AccessRequest,
  type Anonymous,
  type Authenticator,
  type Guard,
  type Principal,
} from '@portcullis/core'

type Party = Principal | Anonymous

/**
 * A mechanism for what lies within a request that was allowed: it proves again who was proven before, so that a field is
 * a decision of its own, with its audit event, and no token is judged twice.
 */
export interface Standing {
  readonly mechanism: Authenticator<Party>
  /** Says for whom this request, which is a part of an allowed one, is asked. */
  vouch(request: AccessRequest, principal: Party): AccessRequest
}

/** Makes the {@link Standing} of a guard; its challenges are that guard's. */
export function standingOf(guard: Guard): Standing {
  const parties = new WeakMap<AccessRequest, Party>()
  return {
    mechanism: authenticator<Party>(
      'standing',
      (request) => {
        const party = parties.get(request)
        if (party === undefined) return notMine
        // The key was shown with the whole request (RFC 9449 section 4.3), of which this is a part.
        const jkt = isPrincipal(party) ? party.confirmation?.['jkt'] : undefined
        return jkt === undefined || party.kind !== 'principal' ? party : { proven: party, possession: { jkt } }
      },
      guard.offers,
    ),
    vouch(request, principal) {
      parties.set(request, principal)
      return request
    },
  }
}
