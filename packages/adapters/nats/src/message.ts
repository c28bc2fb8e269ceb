import { headers as makeHeaders, type Msg, type MsgHdrs } from '@nats-io/transport-node'
import type { JsMsg } from '@nats-io/jetstream'

/** A message as a consumer or subscriber gets it. What it says of itself comes from the producer; only the signature says whether it meant that. */
export interface NatsMessage {
  readonly subject: string
  readonly content: Buffer
  readonly id: string | undefined
  /** Each with its values. Names as sent: NATS tells `Tenant` and `tenant` apart. */
  readonly headers: ReadonlyMap<string, readonly string[]>
  /** Where an answer is expected. */
  readonly reply: string | undefined
  /** Where it stands in a stream, and since when by the server's clock; absent for core NATS. */
  readonly stored: { readonly stream: string; readonly sequence: number; readonly at: Date; readonly deliveries: number } | undefined
}

/** The header by which a stream recognizes a message that it has. */
export const messageIdHeader = 'Nats-Msg-Id'

/** A message of core NATS. */
export function coreMessage({ subject, data, headers, reply }: Msg): NatsMessage {
  return made(subject, data, headers, reply === '' ? undefined : reply, undefined)
}

/** A message of a stream. */
export function storedMessage({ subject, data, headers, info, timestampNanos }: JsMsg): NatsMessage {
  return made(subject, data, headers, undefined, {
    stream: info.stream,
    sequence: info.streamSequence,
    at: new Date(Number(timestampNanos / 1_000_000n)),
    deliveries: info.deliveryCount,
  })
}

function made(
  subject: string,
  data: Uint8Array,
  carried: MsgHdrs | undefined,
  reply: string | undefined,
  stored: NatsMessage['stored'],
): NatsMessage {
  const headers = new Map<string, readonly string[]>()
  for (const [name, values] of carried ?? []) headers.set(name, values)
  return {
    subject,
    content: Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    id: headers.get(messageIdHeader)?.[0],
    headers,
    reply,
    stored,
  }
}

/** The address that a signature covers. */
export function addressOf(subject: string): string {
  return `nats:${subject}`
}

/**
 * Headers as a signature covers them. Those of the server (`Nats-…`) are not among them; where an answer is to go is,
 * as `nats:reply`.
 */
export function* signedForm(headers: Iterable<readonly [string, string]>, reply: string | undefined): Generator<readonly [string, string]> {
  for (const [name, value] of headers) if (!name.toLowerCase().startsWith('nats-')) yield [name, value]
  if (reply !== undefined) yield ['nats:reply', reply]
}

/** Headers in the library's form. */
export function nativeHeaders(headers: Iterable<readonly [string, string | readonly string[]]>): MsgHdrs {
  const native = makeHeaders()
  for (const [name, values] of headers) for (const value of typeof values === 'string' ? [values] : values) native.append(name, value)
  return native
}
