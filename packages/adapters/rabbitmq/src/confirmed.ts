import type { SecurityError } from '@portcullis/core'
import type { ChannelModel, ConfirmChannel, Message, Options } from 'amqplib'
import { codedAs, diagnose } from './diagnose.ts'

/** A channel whose every message is confirmed, or told why not. */
export interface ConfirmedChannel {
  /**
   * Resolves once the broker has stored the message; rejects with a `SecurityError`, `ERR_RABBITMQ_UNROUTABLE` if no queue
   * takes it. What the broker refuses ends the channel, and so rejects all that is under way on it.
   */
  publish(exchange: string, routingKey: string, content: Buffer, options: Options.Publish & { readonly messageId: string }): Promise<void>
  /** Why it is over, once it is. */
  readonly closed: Promise<Error | undefined>
  close(): Promise<void>
}

/** Opens one. */
export async function confirmedChannel(model: ChannelModel): Promise<ConfirmedChannel> {
  const channel: ConfirmChannel = await model.createConfirmChannel().catch((error: unknown) => {
    throw diagnose(error)
  })
  // The broker returns a message before it confirms it, on the same channel, so the identifier is enough to know it by.
  const returned = new Set<unknown>()
  channel.on('return', (message: Message) => returned.add((message.properties as { readonly messageId?: unknown }).messageId))
  let reason: Error | undefined
  channel.on('error', (error: Error) => (reason = error))
  model.on('error', (error: Error) => (reason ??= error))
  const closed = new Promise<Error | undefined>((resolve) => {
    channel.on('close', () => resolve(reason))
    model.on('close', (error?: Error) => resolve(reason ?? error))
  })
  return {
    closed,
    publish: (exchange, routingKey, content, options) =>
      new Promise((resolve, reject) => {
        const settled = (error: unknown): void => {
          // The error that closed the channel comes with it; the library's own text says only that it did.
          if (error !== null && error !== undefined) reject(refusalOf(reason ?? error))
          else if (returned.delete(options.messageId)) reject(codedAs('ERR_RABBITMQ_UNROUTABLE', undefined))
          else resolve()
        }
        try {
          channel.publish(exchange, routingKey, content, { ...options, persistent: true, mandatory: true }, settled)
        } catch (error) {
          // What the library cannot encode, such as a routing key of more than 255 bytes, is no outage.
          const unfit = error instanceof TypeError || error instanceof RangeError
          // The channel was closed before, for something else.
          reject(codedAs(unfit ? 'ERR_RABBITMQ_MESSAGE' : 'ERR_RABBITMQ_UNAVAILABLE', error))
        }
      }),
    close: () => channel.close().catch(() => undefined),
  }
}

function refusalOf(error: unknown): SecurityError {
  const cause = diagnose(error)
  // Said of a message, that is the message: nothing is declared here.
  return cause.code === 'ERR_RABBITMQ_PRECONDITION' ? codedAs('ERR_RABBITMQ_MESSAGE', error) : cause
}
