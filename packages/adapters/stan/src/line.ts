import { retrying } from '@portcullis/core'
import type { StanClient } from './client.ts'
import type { StanConnection } from './connection.ts'
import { codedAs, diagnose } from './diagnose.ts'

/** Runs a task until it succeeds, up to so many times, as long as it fails for an outage. A refusal is never repeated. */
export const attempting = retrying(diagnose)

/** One connection under one identifier, replaced when it has ended or is due. */
export class Line {
  readonly #client: StanClient
  readonly #clientId: string
  readonly #underWay = new Set<Promise<unknown>>()
  #open: Promise<StanConnection> | undefined
  // Two connections cannot have one identifier, so the next waits for the end of the last.
  #last: Promise<unknown> | undefined
  #closed = false

  constructor(client: StanClient, clientId: string) {
    this.#client = client
    this.#clientId = clientId
  }

  connection(): Promise<StanConnection> {
    if (this.#closed) return Promise.reject(codedAs('ERR_STAN_CLOSED'))
    return (this.#open ??= this.#dial())
  }

  /** Resolves once the server has stored it. `data` may look at what the connection takes. */
  async publish(channel: string, data: Uint8Array | ((own: StanConnection) => Uint8Array)): Promise<void> {
    const own = await this.connection()
    const stored = own.publish(channel, typeof data === 'function' ? data(own) : data)
    this.#underWay.add(stored)
    try {
      await stored
    } finally {
      this.#underWay.delete(stored)
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#retire(this.#open)
    await this.#last
  }

  #dial(): Promise<StanConnection> {
    const open = (async () => {
      await this.#last
      return await this.#client.open(this.#clientId)
    })()
    void this.#watch(open)
    return open
  }

  async #watch(open: Promise<StanConnection>): Promise<void> {
    const own = await open.catch(() => undefined)
    void own?.due.then(() => this.#retire(open))
    await own?.ended
    if (this.#open === open) this.#open = undefined
  }

  /** Closes the connection once what is under way is confirmed or lost. */
  #retire(open: Promise<StanConnection> | undefined): void {
    if (open === undefined || this.#open !== open) return
    this.#open = undefined
    this.#last = (async () => {
      const own = await open.catch(() => undefined)
      await Promise.allSettled(this.#underWay)
      await own?.close()
    })()
  }
}
