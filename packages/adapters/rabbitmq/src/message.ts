import type { ConsumeMessage, Options } from 'amqplib'

/** A message as a consumer of RabbitMQ gets it. What it says of itself comes from the producer; only the signature says whether it meant that. */
export interface RabbitmqMessage {
  readonly exchange: string
  readonly routingKey: string
  readonly content: Buffer
  readonly id: string | undefined
  /** Headers that are text; others are in `native`. */
  readonly headers: ReadonlyMap<string, string>
  /** The broker has handed it out before. */
  readonly redelivered: boolean
  /** The library's own form. */
  readonly native: ConsumeMessage
}

/** The library's message as ours. */
export function messageOf(native: ConsumeMessage): RabbitmqMessage {
  const { exchange, routingKey, redelivered } = native.fields
  const { messageId, headers } = native.properties as { readonly messageId?: unknown; readonly headers?: Readonly<Record<string, unknown>> }
  return {
    exchange,
    routingKey,
    content: native.content,
    id: typeof messageId === 'string' && messageId !== '' ? messageId : undefined,
    headers: new Map(Object.entries(headers ?? {}).filter((entry): entry is [string, string] => typeof entry[1] === 'string')),
    redelivered,
    native,
  }
}

/** What the name of a property begins with where a signature covers it. */
export const propertyPrefix = 'amqp:'
/** The properties of AMQP that say something about a message and that a signature may cover under these names. */
const signedProperties = ['contentType', 'contentEncoding', 'correlationId', 'replyTo', 'type', 'appId'] as const

/** The address that a signature covers. */
export function addressOf(exchange: string, routingKey: string): string {
  // Neither part can hold the mark of the other: an exchange's length stands before its name.
  return `amqp:${exchange.length}:${exchange}/${routingKey}`
}

/**
 * Headers and properties as a signature covers them: a property under `amqp:` and its name. A header of such a name covers
 * nothing, so that nobody can move a signed property to where a consumer does not look for it.
 */
export function* signedForm(
  headers: Iterable<readonly [string, string]>,
  properties: Readonly<Partial<Record<(typeof signedProperties)[number], unknown>>>,
): Generator<readonly [string, string]> {
  for (const header of headers) if (!header[0].startsWith(propertyPrefix)) yield header
  for (const name of signedProperties) {
    const value = properties[name]
    if (typeof value === 'string') yield [`${propertyPrefix}${name}`, value]
  }
}

/** What a producer may say beside content and headers. */
export type MessageProperties = Pick<Options.Publish, (typeof signedProperties)[number] | 'expiration' | 'priority'>
