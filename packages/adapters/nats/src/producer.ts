import { checkOptions, requireNumber } from '@portcullis/core'
import { attempting } from './attempts.ts'
import type { NatsClient } from './client.ts'
import { Line } from './line.ts'
import { sealer, type MessageToSend, type Signing } from './outgoing.ts'

/** What {@link producer} takes. */
export interface ProducerOptions extends Signing {
  readonly client: NatsClient
  /** How often a message is tried again while no stream confirms it, with a growing delay. Default: 8, about a minute. */
  readonly maxAttempts?: number
}

/** Stores messages in streams that say who sent them. */
export interface NatsProducer {
  /**
   * Signs and sends; resolves when a stream has stored it. It is signed once and goes out under one identifier, so that
   * a stream takes a repetition after a lost confirmation for what it is, within its duplicate window. Rejects with
   * `ERR_NATS_FORBIDDEN` or `ERR_NATS_UNROUTABLE` at once, and with `ERR_NATS_UNAVAILABLE` after the last attempt (it
   * may have been stored nevertheless).
   */
  send(message: MessageToSend): Promise<void>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Connects a producer for JetStream. Rejects at once for refusals, and after some attempts if the server does not answer. */
export async function producer(options: ProducerOptions): Promise<NatsProducer> {
  checkOptions<ProducerOptions>('producer', options, { client: true, identity: true, caller: true, maxAttempts: true })
  const { client, maxAttempts = 8 } = options
  requireNumber('producer: maxAttempts', maxAttempts, { min: 1, max: 1_000 })
  const seal = sealer('producer', options, client.origin)
  const line = new Line(client)
  await attempting(maxAttempts, () => line.connection())
  const close = (): Promise<void> => line.close()
  return {
    async send(message) {
      const { subject, content, headers, id } = await seal(message)
      await attempting(maxAttempts, () => line.store(subject, content, headers, id))
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
