import { isSecurityError, UnavailableError, type Clock } from '@portcullis/core'
import type { OAuth2ErrorCode } from './errors.ts'

// While nothing listens at an endpoint, it is tried once a second and not for every request.
const restMs = 1_000
// Only what says that nobody is there: what a server answers to one question says nothing about the next.
const absent: ReadonlySet<string> = new Set<OAuth2ErrorCode>(['ERR_OAUTH_UNREACHABLE', 'ERR_OAUTH_SERVER_UNTRUSTED'])

/** Knows whether a server was there a moment ago. */
export class Reachability {
  readonly #clock: Clock
  #failure: { readonly error: UnavailableError; readonly untilMs: number } | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Throws the last failure while it is not worth trying again. */
  check(): void {
    const leftMs = (this.#failure?.untilMs ?? 0) - this.#clock.now()
    // More is left than was ever set only where the clock was set back.
    if (this.#failure !== undefined && leftMs > 0 && leftMs <= restMs) throw this.#failure.error
  }

  /** Passes an answer or an error on, and learns from it. */
  async watch<T>(work: Promise<T>): Promise<T> {
    try {
      const answer = await work
      this.#failure = undefined
      return answer
    } catch (error) {
      if (isSecurityError(error) && absent.has(error.code)) {
        const { code, message } = error
        this.#failure = {
          error: new UnavailableError(code, { message, cause: error, retryAfterMs: restMs }),
          untilMs: this.#clock.now() + restMs,
        }
      }
      throw error
    }
  }
}
