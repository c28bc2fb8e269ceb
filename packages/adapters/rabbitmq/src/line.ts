import type { RabbitmqClient } from './client.ts'
import { confirmedChannel, type ConfirmedChannel } from './confirmed.ts'
import { codedAs } from './diagnose.ts'

/** One connection with one confirmed channel, opened anew when either has ended. */
export class Line {
  readonly #client: RabbitmqClient
  #channel: Promise<ConfirmedChannel> | undefined
  #closeModel: (() => Promise<void>) | undefined
  #closed = false

  constructor(client: RabbitmqClient) {
    this.#client = client
  }

  channel(): Promise<ConfirmedChannel> {
    if (this.#closed) return Promise.reject(codedAs('ERR_RABBITMQ_CLOSED', undefined))
    return (this.#channel ??= this.#open())
  }

  async close(): Promise<void> {
    this.#closed = true
    const channel = await this.#channel?.catch(() => undefined)
    await channel?.close()
    await this.#closeModel?.()
  }

  async #open(): Promise<ConfirmedChannel> {
    try {
      await this.#closeModel?.()
      const model = await this.#client.open()
      this.#closeModel = () => model.close().catch(() => undefined)
      const channel = await confirmedChannel(model)
      void channel.closed.then(() => (this.#channel = undefined))
      return channel
    } catch (error) {
      this.#channel = undefined
      throw error
    }
  }
}
