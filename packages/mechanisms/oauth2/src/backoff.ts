import { backoffMs, type Clock } from '@portcullis/core'

// A minute: a server that is down is asked again soon enough, and not hammered.
const maxBackoffMs = 60_000
const firstDelayMs = 1_000

/**
 * How long to leave a server alone that failed: a second, doubling up to a minute, with a random half of it so that
 * many instances do not come back at once. A success ends it.
 */
export class Backoff {
  readonly #clock: Clock
  readonly #random: () => number
  #failures = 0
  #retryAtMs = Number.NEGATIVE_INFINITY

  constructor(clock: Clock, random: () => number) {
    this.#clock = clock
    this.#random = random
  }

  /** Milliseconds until it may be asked again; 0 if it may now. */
  get waitMs(): number {
    const left = this.#retryAtMs - this.#clock.now()
    // More is left than was ever set only where the clock was set back; nobody waits for that.
    return left > maxBackoffMs ? 0 : Math.max(0, left)
  }

  failed(): void {
    this.#retryAtMs = this.#clock.now() + backoffMs(this.#failures++, firstDelayMs, maxBackoffMs, this.#random)
  }

  succeeded(): void {
    this.#failures = 0
    this.#retryAtMs = Number.NEGATIVE_INFINITY
  }
}
