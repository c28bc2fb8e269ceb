import { deadLetterHeaderPrefix, deadLetterHeaders, type DeadLetter, type Reason } from '@portcullis/core'
import type { MsgHdrs } from '@nats-io/transport-node'
import { diagnose } from './diagnose.ts'
import { messageIdHeader, nativeHeaders, type NatsMessage } from './message.ts'

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

const dropped = ['nats-', deadLetterHeaderPrefix]

/** The headers of a dead letter: those that the message came with, and why, when and by which subject. Headers of these names that came with it are dropped, since somebody else wrote them; so are those that tell the server what to do. */
export function deadLetterOf({ subject, headers, stored }: NatsMessage, letter: DeadLetter): MsgHdrs {
  const kept = [...headers].filter(([name]) => name === messageIdHeader || !dropped.some((prefix) => name.toLowerCase().startsWith(prefix)))
  const stood = { subject, ...(stored !== undefined && { stream: stored.stream, sequence: String(stored.sequence) }) }
  return nativeHeaders([
    // Another stream would take the identifier for its own; here it is said and means nothing.
    ...kept.map(([name, values]) => [name === messageIdHeader ? `${deadLetterHeaderPrefix}id` : name, values] as const),
    ...deadLetterHeaders(letter, stood),
  ])
}

/**
 * Stores a dead letter with the bytes of the message; where the server has no room for these beside the reason, without
 * them, and says so. Whoever sends as much as a server takes would else stop a consumer for good.
 */
export async function storeLetter(
  message: NatsMessage,
  letter: DeadLetter,
  store: (content: Uint8Array, headers: MsgHdrs) => Promise<void>,
): Promise<void> {
  try {
    await store(message.content, deadLetterOf(message, letter))
  } catch (error) {
    if (diagnose(error).code !== 'ERR_NATS_MESSAGE') throw error
    const headers = deadLetterOf({ ...message, headers: new Map() }, letter)
    headers.append(`${deadLetterHeaderPrefix}omitted`, 'content, headers')
    await store(new Uint8Array(), headers)
  }
}

/** The headers of the answer to a request that is refused. */
export function refusalOf({ reason }: DeadLetter): MsgHdrs {
  const status = refusalStatus[reason]
  return nativeHeaders([
    ['Nats-Service-Error-Code', status],
    ['Nats-Service-Error', publicTexts[status] ?? 'The request cannot be judged at the moment.'],
  ])
}
