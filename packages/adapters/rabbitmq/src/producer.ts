import {
  checkOptions,
  ConfigurationError,
  messageBinding,
  messageSealer,
  requireFunction,
  requireNumber,
  requireText,
  type BoundSource,
  type DelegatedSource,
  type Principal,
} from '@portcullis/core'
import type { Options } from 'amqplib'
import { randomUUID } from 'node:crypto'
import { attempting } from './attempts.ts'
import type { RabbitmqClient } from './client.ts'
import { withoutIdentity } from './danger.ts'
import { rabbitmqErrorCodes, type RabbitmqErrorCode } from './errors.ts'
import { Line } from './line.ts'
import { addressOf, propertyPrefix, signedForm, type MessageProperties } from './message.ts'

/** What {@link producer} takes. */
export interface ProducerOptions {
  readonly client: RabbitmqClient
  /** Signs each message, so that its consumers know who produced it. `withoutIdentity` of `/danger` leaves messages unsigned. */
  readonly identity: BoundSource | typeof withoutIdentity
  /** Yields the token of the user for whom a message is sent (`onBehalfOf`); meant for the consumers as audience, and verified by them on its own. */
  readonly caller?: DelegatedSource
  /** How often a message is tried again while the broker does not answer, with a growing delay. Default: 8, about a minute. */
  readonly maxAttempts?: number
}

/** A message to send. */
export interface MessageToSend {
  /** Default: the broker's own exchange, by which the routing key is a queue's name. */
  readonly exchange?: string
  readonly routingKey: string
  readonly content: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  readonly properties?: MessageProperties
  /** Default: a random one. */
  readonly id?: string
  /** The principal on whose behalf the producer acts; needs the option `caller`. */
  readonly onBehalfOf?: Principal
}

/** Sends messages that say who sent them. */
export interface RabbitmqProducer {
  /**
   * Signs and sends; resolves when the broker has stored it. It is signed once, so that a repetition after a lost
   * confirmation is recognized by consumers as the same message. Rejects with `ERR_RABBITMQ_FORBIDDEN`,
   * `ERR_RABBITMQ_NOT_FOUND` or `ERR_RABBITMQ_UNROUTABLE` at once, and with `ERR_RABBITMQ_UNAVAILABLE` after the last
   * attempt (it may have been stored nevertheless).
   */
  send(message: MessageToSend): Promise<void>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Connects a producer. Rejects at once for refusals, and after some attempts if the broker does not answer. */
export async function producer(options: ProducerOptions): Promise<RabbitmqProducer> {
  checkOptions<ProducerOptions>('producer', options, { client: true, identity: true, caller: true, maxAttempts: true })
  const { client, identity, caller, maxAttempts = 8 } = options
  requireNumber('producer: maxAttempts', maxAttempts, { min: 1, max: 1_000 })
  const sign = identity === withoutIdentity ? undefined : requireFunction<BoundSource>('producer: identity', identity)
  const seal = messageSealer({
    where: 'producer',
    target: { origin: client.origin, secure: true, shared: true },
    sign,
    caller,
    withoutForm: (message) => new ConfigurationError<RabbitmqErrorCode>('ERR_RABBITMQ_CREDENTIAL', message),
  })
  const line = new Line(client)
  await attempting(maxAttempts, () => line.channel())

  const close = (): Promise<void> => line.close()
  return {
    async send(message) {
      const { exchange = '', routingKey, content, headers = {}, properties = {}, id = randomUUID(), onBehalfOf } = checkMessage(message)
      const payload = Buffer.from(content)
      const sealed = await seal(onBehalfOf, (token) =>
        messageBinding({
          address: addressOf(exchange, routingKey),
          payload,
          id,
          headers: signedForm([...Object.entries(headers), ...token], properties),
        }),
      )
      const published: Options.Publish & { readonly messageId: string } = {
        ...properties,
        messageId: id,
        headers: { ...headers, ...Object.fromEntries(sealed) },
      }
      await attempting(maxAttempts, async () => (await line.channel()).publish(exchange, routingKey, payload, published))
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function checkMessage(message: MessageToSend): MessageToSend {
  checkOptions<MessageToSend>('A message', message, {
    exchange: true,
    routingKey: true,
    content: true,
    headers: true,
    properties: true,
    id: true,
    onBehalfOf: true,
  })
  if (typeof message.routingKey !== 'string')
    throw new ConfigurationError('ERR_OPTION_MISSING', 'A message needs a routing key; it may be empty.')
  if (message.id !== undefined) requireText('A message: id', message.id)
  for (const [name, value] of Object.entries(message.headers ?? {}))
    if (name.toLowerCase().startsWith('portcullis-') || name.startsWith(propertyPrefix) || typeof value !== 'string')
      throw new ConfigurationError<RabbitmqErrorCode>(
        'ERR_RABBITMQ_MESSAGE',
        `The header "${name}" is reserved, or no text. ${rabbitmqErrorCodes.ERR_RABBITMQ_MESSAGE}`,
      )
  return message
}
