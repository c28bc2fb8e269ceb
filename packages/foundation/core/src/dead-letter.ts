import type { Reason, Refusal } from './decision.ts'

/** Why a message is not handed on, in a form that may be stored beside it: codes and words of ours, nothing from the message. */
export interface DeadLetter {
  readonly reason: Refusal['reason']
  readonly code: string
  readonly at: Date
}

/** What a dead letter says of why it is one. Whoever looks at the dead letters reads it, so it may be plain. */
export const deadLetterReasons = {
  missing: 'no-identity',
  malformed: 'malformed',
  invalid: 'identity-refused',
  stepUp: 'step-up',
  insufficientScope: 'scope-missing',
  forbidden: 'forbidden',
  // These are not dead-lettered: what cannot be judged waits.
  outage: 'unavailable',
  overload: 'unavailable',
  internal: 'unavailable',
} as const satisfies Record<Reason, string>

/** How the headers begin in which a dead letter says why it is one. Those that came with a message somebody else wrote: drop them. */
export const deadLetterHeaderPrefix = 'portcullis-dead-letter-'

/** The headers of a dead letter: `reason`, `code`, `at`, and where the message stood, in the words of its protocol. */
export function deadLetterHeaders(
  { reason, code, at }: DeadLetter,
  stood: Readonly<Record<string, string>>,
): readonly (readonly [name: string, value: string])[] {
  const said = { reason: deadLetterReasons[reason], code, at: at.toISOString(), ...stood }
  return Object.entries(said).map(([name, value]) => [`${deadLetterHeaderPrefix}${name}`, value])
}
