import { Metadata, status } from '@grpc/grpc-js'
import { formatChallenges, type Advice, type EndReason, type Guard, type Reason, type Refusal } from '@portcullis/core'

/** A status as it is sent: code, text and trailers. */
export interface FinalStatus {
  readonly code: status
  readonly details: string
  readonly metadata: Metadata
}

interface Words {
  readonly code: status
  readonly details: string
}

/** What a caller is told of a refusal: what to do next, and nothing of what was found. */
export const refusals = {
  missing: { code: status.UNAUTHENTICATED, details: 'A credential is needed.' },
  malformed: { code: status.UNAUTHENTICATED, details: 'The credential cannot be read.' },
  invalid: { code: status.UNAUTHENTICATED, details: 'The credential is not accepted.' },
  stepUp: { code: status.UNAUTHENTICATED, details: 'A stronger or fresher authentication is needed.' },
  insufficientScope: { code: status.PERMISSION_DENIED, details: 'A scope is missing.' },
  forbidden: { code: status.PERMISSION_DENIED, details: 'This is not permitted.' },
  outage: { code: status.UNAVAILABLE, details: 'The call cannot be judged at the moment.' },
  overload: { code: status.RESOURCE_EXHAUSTED, details: 'There is no room at the moment.' },
  internal: { code: status.INTERNAL, details: 'The service failed.' },
} as const satisfies Record<Reason, Words>

/** How a stream ends whose session is over. */
export const endings = {
  expired: { code: status.UNAUTHENTICATED, details: 'The credential has expired.' },
  revoked: { code: status.UNAUTHENTICATED, details: 'The credential was revoked.' },
  policy: { code: status.PERMISSION_DENIED, details: 'This is no longer permitted.' },
  subjectChanged: { code: status.UNAUTHENTICATED, details: 'A stream keeps its subject.' },
  reauthenticationLimit: { code: status.UNAUTHENTICATED, details: 'Too many attempts to authenticate again.' },
  closed: { code: status.CANCELLED, details: 'The stream was closed.' },
  shutdown: { code: status.UNAVAILABLE, details: 'The service stops.' },
} as const satisfies Record<EndReason, Words>

/** The status of a refusal. Challenges go into the trailers, as `www-authenticate` (RFC 9110 section 11.6.1). */
export function refuse({ outcome, reason, offers, advice, ...refusal }: Refusal): FinalStatus {
  const metadata = new Metadata()
  if (outcome !== 'unavailable')
    for (const challenge of formatChallenges(offers, reason, advice)) metadata.add('www-authenticate', challenge)
  if ('retryAfterMs' in refusal && refusal.retryAfterMs !== undefined)
    // gRFC A6, "Pushback": when a client with a retry policy may come again.
    metadata.set('grpc-retry-pushback-ms', String(Math.ceil(refusal.retryAfterMs)))
  return { ...refusals[reason], metadata: acknowledge(metadata, advice) }
}

/** The status of a stream whose session has ended, with the challenge by which a new one can begin. */
export function end(reason: EndReason, guard: Guard): FinalStatus {
  const metadata = new Metadata()
  const words: Words = endings[reason]
  if (words.code === status.UNAUTHENTICATED)
    for (const challenge of formatChallenges(guard.offers, 'invalid')) metadata.add('www-authenticate', challenge)
  return { ...words, metadata }
}

/** Puts what must be said along with an answer into its trailers: the nonce of the next proof (RFC 9449 section 8). */
export function acknowledge(metadata: Metadata, advice: Advice | undefined): Metadata {
  if (advice?.nonce !== undefined) metadata.set('dpop-nonce', advice.nonce)
  return metadata
}
