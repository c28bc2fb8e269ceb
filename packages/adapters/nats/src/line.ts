import { jetstream, type JetStreamClient } from '@nats-io/jetstream'
import type { MsgHdrs, NatsConnection } from '@nats-io/transport-node'
import type { NatsClient } from './client.ts'
import { codedAs, diagnose } from './diagnose.ts'

// A stream that is alive confirms within milliseconds; a message that is sent again is recognized by it.
const confirmWithinMs = 5_000

interface Opened {
  readonly connection: NatsConnection
  readonly js: JetStreamClient
}

/** One connection to publish on, opened anew when it has ended. */
export class Line {
  readonly #client: NatsClient
  readonly #waiting = new Set<(error: Error) => void>()
  #open: Promise<Opened> | undefined
  #closed = false

  constructor(client: NatsClient) {
    this.#client = client
  }

  async connection(): Promise<NatsConnection> {
    return (await this.#opened()).connection
  }

  /** Resolves once a stream has stored the message, or had it under this identifier. */
  async store(subject: string, content: Uint8Array, headers: MsgHdrs, msgID: string): Promise<void> {
    const { js } = await this.#opened()
    const lost = Promise.withResolvers<never>()
    lost.promise.catch(() => undefined)
    this.#waiting.add(lost.reject)
    try {
      await Promise.race([js.publish(subject, content, { headers, msgID, timeout: confirmWithinMs }), lost.promise])
    } catch (error) {
      throw diagnose(error)
    } finally {
      this.#waiting.delete(lost.reject)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    const opened = await this.#open?.catch(() => undefined)
    await opened?.connection.drain().catch(() => undefined)
  }

  #opened(): Promise<Opened> {
    if (this.#closed) return Promise.reject(codedAs('ERR_NATS_CLOSED', undefined))
    return (this.#open ??= this.#dial())
  }

  async #dial(): Promise<Opened> {
    try {
      const connection = await this.#client.open()
      void this.#watch(connection)
      return { connection, js: jetstream(connection) }
    } catch (error) {
      this.#open = undefined
      throw error
    }
  }

  /** A confirmation that was on its way when a connection ended never comes: whoever waits for one sends again. */
  async #watch(connection: NatsConnection): Promise<void> {
    for await (const { type } of connection.status())
      if (type === 'reconnect') for (const reject of this.#waiting) reject(codedAs('ERR_NATS_UNAVAILABLE', undefined))
    this.#open = undefined
    for (const reject of this.#waiting) reject(codedAs('ERR_NATS_UNAVAILABLE', undefined))
  }
}
