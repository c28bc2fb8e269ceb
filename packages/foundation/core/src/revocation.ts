import { tell } from './listeners.ts'

/**
 * A switch that ends a principal: everything that was derived from it (cached verdicts, live sessions) sees it.
 *
 * One revocation is shared by all that stands and falls together: a user's sessions, an issuer's key, a trust anchor.
 * It goes one way only.
 */
export class Revocation {
  #reason: string | undefined
  #listeners: Set<(reason: string) => void> | undefined

  /** True once {@link revoke} was called. */
  get revoked(): boolean {
    return this.#reason !== undefined
  }

  /** Why it was revoked; for the log. */
  get reason(): string | undefined {
    return this.#reason
  }

  /** Revokes, once; later calls do nothing. Never throws: the fault of a listener is a warning of the process, and the others are told. */
  revoke(reason: string): void {
    if (this.#reason !== undefined) return
    this.#reason = reason
    const listeners = this.#listeners
    this.#listeners = undefined
    if (listeners !== undefined) tell(listeners, reason)
  }

  /** Calls `listener` when it is revoked, at once if it is already. */
  subscribe(listener: (reason: string) => void): void {
    if (this.#reason === undefined) (this.#listeners ??= new Set()).add(listener)
    else listener(this.#reason)
  }

  /** No longer calls `listener`. */
  unsubscribe(listener: (reason: string) => void): void {
    this.#listeners?.delete(listener)
  }
}
