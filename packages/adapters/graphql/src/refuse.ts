import { formatChallenges, type EndReason, type Reason, type Refusal } from '@portcullis/core'
import { GraphQLError, type GraphQLErrorExtensions } from 'graphql'

/** The codes by which clients of GraphQL tell refusals apart, in `errors[].extensions.code`. */
export type RefusalCode =
  | 'UNAUTHENTICATED'
  | 'FORBIDDEN'
  | 'BAD_REQUEST'
  | 'SERVICE_UNAVAILABLE'
  | 'TOO_MANY_REQUESTS'
  | 'INTERNAL_SERVER_ERROR'

interface Words {
  readonly code: RefusalCode
  /** Says nothing that depends on the credential. */
  readonly message: string
  /** With which a WebSocket is closed: the codes of graphql-transport-ws, and of RFC 6455 section 7.4 and its registry. */
  readonly close: number
}

/** What is said for each reason. */
export const refusals: Readonly<Record<Reason, Words>> = {
  missing: { code: 'UNAUTHENTICATED', message: 'This asks for credentials that were not presented.', close: 4401 },
  malformed: { code: 'BAD_REQUEST', message: 'The credentials cannot be read, or there are too many of them.', close: 4400 },
  invalid: { code: 'UNAUTHENTICATED', message: 'The credentials were not accepted.', close: 4401 },
  stepUp: { code: 'UNAUTHENTICATED', message: 'A stronger or more recent authentication is needed.', close: 4401 },
  insufficientScope: { code: 'FORBIDDEN', message: 'The credentials do not carry the scope that is needed.', close: 4403 },
  forbidden: { code: 'FORBIDDEN', message: 'This is not permitted.', close: 4403 },
  outage: { code: 'SERVICE_UNAVAILABLE', message: 'This cannot be judged at the moment.', close: 1013 },
  overload: { code: 'TOO_MANY_REQUESTS', message: 'There are too many requests at the moment.', close: 1013 },
  internal: { code: 'INTERNAL_SERVER_ERROR', message: 'This failed for a reason that is not its own.', close: 4500 },
}

interface Ending {
  readonly close: number
  readonly text: string
  /** The last event of a stream that has no close code. */
  readonly code: RefusalCode | undefined
}

/** How the end of a session is told. */
export const endings: Readonly<Record<EndReason, Ending>> = {
  expired: { close: 4401, text: 'Unauthorized', code: 'UNAUTHENTICATED' },
  revoked: { close: 4401, text: 'Unauthorized', code: 'UNAUTHENTICATED' },
  policy: { close: 4403, text: 'Forbidden', code: 'FORBIDDEN' },
  subjectChanged: { close: 4403, text: 'Forbidden', code: 'FORBIDDEN' },
  reauthenticationLimit: { close: 4403, text: 'Forbidden', code: 'FORBIDDEN' },
  closed: { close: 1000, text: '', code: undefined },
  shutdown: { close: 1001, text: 'Going away', code: undefined },
}

/** The error of a field that was refused. */
export function refusalError(refusal: Refusal): GraphQLError {
  return new GraphQLError(refusals[refusal.reason].message, { extensions: refusalExtensions(refusal) })
}

/** The last event of a stream whose session is over; `undefined` where it simply ends. */
export function endError(reason: EndReason): GraphQLError | undefined {
  const { code } = endings[reason]
  if (code === undefined) return undefined
  return new GraphQLError(code === 'FORBIDDEN' ? refusals.forbidden.message : refusals.invalid.message, { extensions: { code } })
}

/** A whole answer that refuses. */
export function refusalResult(refusal: Refusal): string {
  return JSON.stringify({ errors: [{ message: refusals[refusal.reason].message, extensions: refusalExtensions(refusal) }] })
}

/** The extensions of a refusal: its code and, as GraphQL has no field for them within an answer, its challenges. */
function refusalExtensions({ reason, advice, offers }: Refusal): GraphQLErrorExtensions {
  const challenges =
    refusals[reason].code === 'UNAUTHENTICATED' || reason === 'insufficientScope' ? formatChallenges(offers, reason, advice) : []
  return { code: refusals[reason].code, ...(challenges.length > 0 && { challenges }) }
}
