import type { Message } from 'node-nats-streaming'
import { unframe } from './frame.ts'

/** A message as a consumer gets it. What it says of itself comes from the producer; only the signature says whether it meant that. */
export interface StanMessage {
  readonly channel: string
  /** What was sent, without the frame. */
  readonly content: Buffer
  /** The bytes as the channel holds them, with the frame. */
  readonly stored: Buffer
  readonly id: string | undefined
  /** Each with its values, out of the frame. */
  readonly headers: ReadonlyMap<string, readonly string[]>
  /** Where it stands in the channel. */
  readonly sequence: number
  /** When the server took it, by the server's clock. */
  readonly at: Date
  /** It has been handed out before. */
  readonly redelivered: boolean
  /** It begins like a frame and is none. */
  readonly broken: boolean
}

/** The header of a message's identifier, in JetStream too. */
export const messageIdHeader = 'Nats-Msg-Id'

/** A message of the library, taken apart. */
export function received(native: Message): StanMessage {
  const stored = native.getRawData()
  const parts = unframe(stored)
  const headers = new Map<string, string[]>()
  if (parts.kind === 'framed')
    for (const [name, value] of parts.headers) {
      const values = headers.get(name)
      if (values === undefined) headers.set(name, [value])
      else values.push(value)
    }
  const [id, second] = headers.get(messageIdHeader) ?? []
  return {
    channel: native.getSubject(),
    content: parts.kind === 'framed' ? parts.content : stored,
    stored,
    id: id === '' || second !== undefined ? undefined : id,
    headers,
    sequence: native.getSequence(),
    at: native.getTimestamp(),
    redelivered: native.isRedelivered(),
    broken: parts.kind === 'broken',
  }
}

/**
 * The place of a message. A server whose store is in memory counts from one again when it is started anew; with the
 * time a place is taken once.
 */
export function positionOf({ channel, sequence, at }: StanMessage): string {
  return `${channel}/${sequence}@${at.getTime()}`
}

/** The address that a signature covers. */
export function addressOf(channel: string): string {
  return `stan:${channel}`
}

/** Headers as a signature covers them: without those of NATS itself. */
export function* signedForm(headers: Iterable<readonly [string, string]>): Generator<readonly [string, string]> {
  for (const [name, value] of headers) if (!name.toLowerCase().startsWith('nats-')) yield [name, value]
}

/** Whether a text is a channel: a subject without wildcards. */
export function isChannel(text: string): boolean {
  return /^[^\s.*>]+(?:\.[^\s.*>]+)*$/.test(text)
}
