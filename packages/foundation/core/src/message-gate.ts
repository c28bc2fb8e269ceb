import type { AccessRequest } from './access-request.ts'
import { wait } from './clock.ts'
import type { DeadLetter } from './dead-letter.ts'
import { ConfigurationError, UnavailableError } from './errors.ts'
import type { Guard } from './guard.ts'
import { checkOptions } from './options.ts'
import type { Anonymous, Principal } from './principal.ts'

/** What a {@link MessageGate} is made of. */
export interface MessageGateOptions<M, P extends Principal | Anonymous> {
  readonly guard: Guard<P>
  /** The native message as an access request. */
  readonly describe: (message: M) => AccessRequest
  /** Stores the message, with its original bytes, where the refused ones go. Resolves once the broker has confirmed it. */
  readonly deadLetter: (message: M, letter: DeadLetter) => Promise<void>
  /**
   * What becomes of a refused message beyond {@link maxDeadLettersPerSecond}. `wait` (default): its turn comes. `drop`: it
   * is reported, and gone; for wires that keep nothing, where a flood of forged messages would else hold the places of
   * sound ones, which are then lost instead.
   */
  readonly overRate?: 'wait' | 'drop'
  /** The first message that cannot be judged stops the reading; called again only after {@link onResume}. */
  readonly onPause?: () => void
  readonly onResume?: () => void
}

/** The longest wait between two attempts to judge, or to store a dead letter, in milliseconds. */
export const maxPauseMs = 30_000
/**
 * How many messages a second one consumer stores as dead letters. A flood of forged messages is then as slow as this,
 * and does not become a flood in the dead-letter destination.
 */
export const maxDeadLettersPerSecond = 100
const firstPauseMs = 100

/**
 * The five doors for a consumer's messages, the same for every broker: each is judged; who passes reaches the handler
 * with its principal; who is refused goes to the dead letters, and the original may be acknowledged only after that is
 * confirmed; what cannot be *judged* (keys out of reach) is neither: the consumer waits, with a bounded back-off, and
 * judges again.
 */
export class MessageGate<M, P extends Principal | Anonymous = Principal> {
  readonly #options: MessageGateOptions<M, P>
  readonly #closed = new AbortController()
  #waiting = 0
  #windowStartMs = Number.NEGATIVE_INFINITY
  #inWindow = 0

  constructor(options: MessageGateOptions<M, P>) {
    checkOptions<MessageGateOptions<M, P>>('MessageGate', options, {
      guard: true,
      describe: true,
      deadLetter: true,
      overRate: true,
      onPause: true,
      onResume: true,
    })
    if (options.overRate !== undefined && options.overRate !== 'wait' && options.overRate !== 'drop')
      throw new ConfigurationError('ERR_OPTION_INVALID', 'MessageGate: overRate is "wait" or "drop".')
    this.#options = options
  }

  /**
   * Takes one message to its end: `handled` after the handler has, `deadLettered` after the dead letter is confirmed;
   * then it may be acknowledged. `dropped` only where `overRate` says so. Rejects with what the handler threw, which is the application's own, and with
   * `ERR_ABORTED` when the gate is closed meanwhile: then it must not be acknowledged.
   */
  async pass(message: M, handle: (message: M, principal: P) => unknown): Promise<'handled' | 'deadLettered' | 'dropped'> {
    const { guard, describe, deadLetter } = this.#options
    const request = describe(message)
    let decision = await guard.decide(request)
    if (decision.outcome === 'unavailable') {
      this.#pause()
      try {
        for (let attempt = 0; decision.outcome === 'unavailable'; attempt++) {
          await this.#wait(Math.max(backOff(attempt), Math.min(decision.retryAfterMs ?? 0, maxPauseMs)))
          decision = await guard.decide(request)
        }
      } finally {
        this.#resume()
      }
    }
    if (decision.outcome === 'allow') {
      await handle(message, decision.principal)
      return 'handled'
    }
    const letter: DeadLetter = { reason: decision.reason, code: decision.code, at: new Date(guard.clock.now()) }
    if (!(await this.#stamp())) {
      guard.report({ type: 'messageRefused', protocol: request.channel.protocol, code: letter.code, message: `${letter.reason}, dropped` })
      return 'dropped'
    }
    for (let attempt = 0; ; attempt++) {
      try {
        await deadLetter(message, letter)
        break
      } catch (error) {
        guard.report({
          type: 'warning',
          protocol: request.channel.protocol,
          code: 'ERR_DEAD_LETTER',
          message: 'A dead letter could not be stored; trying again.',
          cause: error,
        })
        await this.#wait(backOff(attempt))
      }
    }
    guard.report({ type: 'messageRefused', protocol: request.channel.protocol, code: letter.code, message: letter.reason })
    return 'deadLettered'
  }

  /** Ends the waiting: messages that are still without a decision are given up, unacknowledged. */
  close(): void {
    this.#closed.abort(
      new UnavailableError('ERR_ABORTED', 'The consumer was closed before this message was judged; it is not acknowledged.'),
    )
  }

  #pause(): void {
    if (this.#waiting++ === 0) this.#options.onPause?.()
  }

  #resume(): void {
    if (--this.#waiting === 0 && !this.#closed.signal.aborted) this.#options.onResume?.()
  }

  /** Waits for room in this second; `false` where that is not waited for. */
  async #stamp(): Promise<boolean> {
    const { clock } = this.#options.guard
    for (;;) {
      const now = clock.now()
      // A clock that was set back opens a new window, too.
      if (now - this.#windowStartMs >= 1_000 || now < this.#windowStartMs) {
        this.#windowStartMs = now
        this.#inWindow = 0
      }
      if (this.#inWindow < maxDeadLettersPerSecond) {
        this.#inWindow++
        return true
      }
      if (this.#options.overRate === 'drop') return false
      await this.#wait(this.#windowStartMs + 1_000 - now)
    }
  }

  #wait(delayMs: number): Promise<void> {
    return wait(this.#options.guard.clock, delayMs, this.#closed.signal)
  }
}

function backOff(attempt: number): number {
  return Math.min(maxPauseMs, firstPauseMs * 2 ** Math.min(attempt, 16))
}
