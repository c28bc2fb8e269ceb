import { UnavailableError } from '@portcullis/core'
import { Turns } from './turns.ts'

/** The bounds of a {@link LoginGate}. */
export interface LoginGateOptions {
  /** How many logins run at once. */
  readonly concurrency: number
  /** How many may wait. */
  readonly queue: number
  /** How many of those that run and wait may come from one peer. */
  readonly perSource: number
}

/** Bounds the logins that go on at once, what waits for them, and what one peer may take of both. */
export class LoginGate {
  readonly #turns: Turns
  readonly #queue: number
  readonly #perSource: number
  /** How many each peer has running and waiting; a peer without any is not in it. */
  readonly #shares = new Map<string, number>()

  constructor({ concurrency, queue, perSource }: LoginGateOptions) {
    this.#turns = new Turns(concurrency)
    this.#queue = queue
    this.#perSource = perSource
  }

  /** Does the work when there is room; throws `ERR_LDAP_OVERLOADED` at once where there is none, or the reason of the signal. */
  async run<T>(source: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    const held = this.#shares.get(source) ?? 0
    if (held >= this.#perSource) throw overloaded('This peer has too many logins under way.')
    if (this.#turns.full && this.#turns.waiting >= this.#queue) throw overloaded('Too many logins wait for the directory.')
    this.#shares.set(source, held + 1)
    try {
      await this.#turns.take(signal)
      try {
        return await work()
      } finally {
        this.#turns.leave()
      }
    } finally {
      this.#leave(source)
    }
  }

  #leave(source: string): void {
    const held = (this.#shares.get(source) ?? 1) - 1
    if (held > 0) this.#shares.set(source, held)
    else this.#shares.delete(source)
  }
}

// A guess at one place becoming free.
const retryAfterMs = 1_000

function overloaded(message: string): UnavailableError {
  return new UnavailableError('ERR_LDAP_OVERLOADED', { message, reason: 'overload', retryAfterMs })
}
