/** A timer that can be cancelled; cancelling twice, or after it ran, does nothing. */
export interface Timer {
  cancel(): void
}

/**
 * Where time comes from. Everything that looks at the time takes one, so that tests decide what time it is.
 */
export interface Clock {
  /** Milliseconds since the epoch. It may step, forwards and backwards, when the machine's clock is set. */
  now(): number
  /**
   * Runs `task` once, `delayMs` from now or later. It does not keep the process alive.
   * A delay may be as long as one likes; whoever waits for a time of day looks at {@link Clock.now} again when it runs.
   */
  schedule(delayMs: number, task: () => void): Timer
}

/** Waits by a clock, without keeping the process alive; rejects with the signal's reason if it aborts. */
export function wait(clock: Clock, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.schedule(delayMs, () => {
      signal?.removeEventListener('abort', stop)
      resolve()
    })
    if (signal?.aborted === true) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}

// setTimeout takes a signed 32-bit number, and runs at once for anything larger. An hour also notices clock steps.
const longestDelayMs = 3_600_000

/** The clock of the machine. */
export const systemClock: Clock = Object.freeze({
  now: () => Date.now(),
  schedule: (delayMs: number, task: () => void): Timer => new SystemTimer(delayMs, task),
})

// One object beside Node's own, without closures: ten thousand live connections have one each.
class SystemTimer implements Timer {
  readonly #task: () => void
  #leftMs: number
  #timeout: NodeJS.Timeout

  constructor(delayMs: number, task: () => void) {
    this.#task = task
    this.#leftMs = Math.max(0, delayMs)
    this.#timeout = this.#wait()
  }

  cancel(): void {
    clearTimeout(this.#timeout)
  }

  #wait(): NodeJS.Timeout {
    const next = Math.min(this.#leftMs, longestDelayMs)
    this.#leftMs -= next
    return setTimeout(SystemTimer.#ring, next, this).unref()
  }

  static #ring(this: void, timer: SystemTimer): void {
    if (timer.#leftMs > 0) timer.#timeout = timer.#wait()
    else timer.#task()
  }
}
