import { formatChallenges, type EndReason, type Reason, type Refusal } from '@portcullis/core'

/** What a peer is told of a refusal. Nobody learns more from it than what to do next. */
export const refusalWords = {
  missing: 'credential-missing',
  malformed: 'credential-malformed',
  invalid: 'credential-refused',
  stepUp: 'step-up',
  insufficientScope: 'scope-missing',
  forbidden: 'forbidden',
  outage: 'try-later',
  overload: 'try-later',
  internal: 'fault',
} as const satisfies Record<Reason, string>

/** A word of a refusal: of the guard's, or for an operation that does not exist. */
export type RefusalWord = (typeof refusalWords)[Reason] | 'unknown'

/** The last word of a connection. */
export const endWords = {
  expired: 'expired',
  revoked: 'revoked',
  policy: 'revoked',
  subjectChanged: 'subject-changed',
  reauthenticationLimit: 'too-many-attempts',
  closed: 'closed',
  shutdown: 'shutdown',
} as const satisfies Record<EndReason, string>

/** The line that refuses, with the challenges by which the next attempt can succeed. */
export function refuse({ reason, offers, advice }: Refusal): string {
  const challenges = reason === 'internal' || reason === 'outage' || reason === 'overload' ? [] : formatChallenges(offers, reason, advice)
  return ['REFUSED', refusalWords[reason], challenges.join(', ')].join(' ').trimEnd()
}

/** The line that ends a connection. */
export function end(reason: EndReason): string {
  return `BYE ${endWords[reason]}`
}
