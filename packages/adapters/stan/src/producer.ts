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
import { randomUUID } from 'node:crypto'
import type { StanClient } from './client.ts'
import { withoutIdentity } from './danger.ts'
import { stanErrorCodes, type StanErrorCode } from './errors.ts'
import { frame } from './frame.ts'
import { attempting, Line } from './line.ts'
import { addressOf, isChannel, messageIdHeader, signedForm } from './message.ts'

/** What {@link producer} takes. */
export interface ProducerOptions {
  readonly client: StanClient
  /** Signs each message, so that its consumers know who produced it. `withoutIdentity` of `/danger` leaves messages unsigned. */
  readonly identity: BoundSource | typeof withoutIdentity
  /** Yields the token of the user for whom a message is sent (`onBehalfOf`); meant for the consumers as audience, and verified by them on its own. */
  readonly caller?: DelegatedSource
  /** Default: a random one, since nothing is kept for a producer. */
  readonly clientId?: string
  /** How often a message is tried again while the server does not confirm it, with a growing delay. Default: 8, about a minute. */
  readonly maxAttempts?: number
}

/** A message to send. */
export interface MessageToSend {
  readonly channel: string
  readonly content: string | Uint8Array
  /** Travel in the frame, before the content. */
  readonly headers?: Readonly<Record<string, string>>
  /** Default: a random one. */
  readonly id?: string
  /** The principal on whose behalf the producer acts; needs the option `caller`. */
  readonly onBehalfOf?: Principal
}

/** Stores messages in channels that say who sent them. */
export interface StanProducer {
  /**
   * Signs and sends; resolves when the server has stored it. It is signed once, so that a repetition after a lost
   * confirmation, which the server stores a second time, is a replay to consumers and reaches their dead letters.
   * Rejects with `ERR_STAN_FORBIDDEN` or `ERR_STAN_MESSAGE` at once, and with `ERR_STAN_UNAVAILABLE` after the last
   * attempt (it may have been stored nevertheless).
   */
  send(message: MessageToSend): Promise<void>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Connects a producer. Rejects at once for refusals, and after some attempts if the server does not answer. */
export async function producer(options: ProducerOptions): Promise<StanProducer> {
  checkOptions<ProducerOptions>('producer', options, { client: true, identity: true, caller: true, clientId: true, maxAttempts: true })
  const { client, identity, caller, clientId = `producer-${randomUUID()}`, maxAttempts = 8 } = options
  requireNumber('producer: maxAttempts', maxAttempts, { min: 1, max: 1_000 })
  const sign = identity === withoutIdentity ? undefined : requireFunction<BoundSource>('producer: identity', identity)
  const seal = messageSealer({
    where: 'producer',
    target: { origin: client.origin, secure: client.secure, shared: true },
    sign,
    caller,
    withoutForm: (message) => new ConfigurationError<StanErrorCode>('ERR_STAN_CREDENTIAL', message),
  })
  const line = new Line(client, clientId)
  await attempting(maxAttempts, () => line.connection())

  const close = (): Promise<void> => line.close()
  return {
    async send(message) {
      const { channel, content, headers = {}, id = randomUUID(), onBehalfOf } = checkMessage(message)
      const payload = Buffer.from(content)
      const carried = Object.entries(headers)
      const sealed = await seal(onBehalfOf, (token) =>
        messageBinding({ address: addressOf(channel), payload, id, headers: signedForm([...carried, ...token]) }),
      )
      const data = frame([[messageIdHeader, id], ...carried, ...sealed], payload)
      await attempting(maxAttempts, () => line.publish(channel, data))
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function checkMessage(message: MessageToSend): MessageToSend {
  checkOptions<MessageToSend>('A message', message, { channel: true, content: true, headers: true, id: true, onBehalfOf: true })
  if (!isChannel(requireText('The channel of a message', message.channel))) throw wrong('A channel holds no wildcards and no blanks.')
  // A line end would end a header, and begin another one.
  if (message.id !== undefined && /[\r\n]/.test(requireText('The id of a message', message.id))) throw wrong('An id is one line.')
  for (const [name, value] of Object.entries(message.headers ?? {}))
    if (/^(?:nats-|portcullis-)/i.test(name) || typeof value !== 'string' || /[\r\n]/.test(value) || !/^[\x21-\x39\x3b-\x7e]+$/.test(name))
      throw wrong(`The header "${name}" is reserved, or no line of text.`)
  return message
}

function wrong(what: string): ConfigurationError {
  return new ConfigurationError<StanErrorCode>('ERR_STAN_MESSAGE', `${what} ${stanErrorCodes.ERR_STAN_MESSAGE}`)
}
