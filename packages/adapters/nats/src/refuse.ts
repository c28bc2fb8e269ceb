import type { DeadLetter, Reason } from '@portcullis/core'
import type { MsgHdrs } from '@nats-io/transport-node'
import { messageIdHeader, nativeHeaders, type NatsMessage } from './message.ts'

const prefix = 'portcullis-dead-letter-'

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

/** What a requester is told, by the numbers of HTTP that services of NATS use in `Nats-Service-Error-Code`. */
export const refusalStatus = {
  missing: '401',
  malformed: '400',
  invalid: '401',
  stepUp: '401',
  insufficientScope: '403',
  forbidden: '403',
  outage: '503',
  overload: '503',
  internal: '500',
} as const satisfies Record<Reason, string>

const publicTexts: Readonly<Record<string, string>> = {
  '400': 'The request cannot be read.',
  '401': 'The credentials were not accepted.',
  '403': 'This is not permitted.',
}

/** The headers of a dead letter: those that the message came with, and why, when and by which subject. Headers of these names that came with it are dropped, since somebody else wrote them; so are those that tell the server what to do. */
export function deadLetterOf({ subject, headers, stored }: NatsMessage, letter: DeadLetter): MsgHdrs {
  const kept = [...headers].filter(([name]) => !/^(?:nats-|portcullis-dead-letter-)/i.test(name) || name === messageIdHeader)
  const said = {
    reason: deadLetterReasons[letter.reason],
    code: letter.code,
    at: letter.at.toISOString(),
    subject,
    ...(stored !== undefined && { stream: stored.stream, sequence: String(stored.sequence) }),
  }
  return nativeHeaders([
    // Another stream would take the identifier for its own; here it is said and means nothing.
    ...kept.map(([name, values]) => [name === messageIdHeader ? `${prefix}id` : name, values] as const),
    ...Object.entries(said).map(([name, value]) => [`${prefix}${name}`, value] as const),
  ])
}

/** The headers of the answer to a request that is refused. */
export function refusalOf({ reason }: DeadLetter): MsgHdrs {
  const status = refusalStatus[reason]
  return nativeHeaders([
    ['Nats-Service-Error-Code', status],
    ['Nats-Service-Error', publicTexts[status] ?? 'The request cannot be judged at the moment.'],
  ])
}
