import { UnavailableError } from '@portcullis/core'

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
  readonly #options: LoginGateOptions
  readonly #waiting = new Set<() => void>()
  /** How many each peer has running and waiting; a peer without any is not in it. */
  readonly #shares = new Map<string, number>()
  #running = 0

  constructor(options: LoginGateOptions) {
    this.#options = options
  }

  /** Does the work when there is room; throws `ERR_LDAP_OVERLOADED` at once where there is none, or the reason of the signal. */
  async run<T>(source: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    signal.throwIfAborted()
    const held = this.#shares.get(source) ?? 0
    if (held >= this.#options.perSource) throw overloaded('This peer has too many logins under way.')
    if (this.#running >= this.#options.concurrency && this.#waiting.size >= this.#options.queue)
      throw overloaded('Too many logins wait for the directory.')
    this.#shares.set(source, held + 1)
    try {
      if (this.#running < this.#options.concurrency) this.#running++
      else await this.#turn(signal)
      try {
        return await work()
      } finally {
        this.#next()
      }
    } finally {
      this.#leave(source)
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave)
        resolve()
      }
      const leave = (): void => {
        this.#waiting.delete(enter)
        reject(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      this.#waiting.add(enter)
    })
  }

  #next(): void {
    const [enter] = this.#waiting
    if (enter === undefined) {
      this.#running--
      return
    }
    this.#waiting.delete(enter)
    enter()
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
