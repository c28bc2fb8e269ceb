import type { Clock, Refused } from '@portcullis/core'
import type { VerifiedJwt, Verifier } from '@portcullis/jwt'

// Handshakes and batch signatures that are remembered: a few per producer, at some kilobytes each.
export const maxRemembered = 1_000
// The end of a signature tells texts apart. What is found by it is compared whole.
const keyLength = 22

/** A token that was verified, and what was made of it. */
export interface Known<T> {
  readonly token: string
  readonly verified: VerifiedJwt
  readonly content: T
}

/**
 * Verifies tokens under which many messages stand: a token once, and as long as it stands then knows it by its text,
 * which is no secret here. What is refused is not remembered, so that junk evicts nothing.
 */
export class SignedOnce<T> {
  readonly #verifier: Verifier
  readonly #read: (verified: VerifiedJwt) => T
  readonly #clock: Clock
  readonly #known = new Map<string, Known<T>>()

  /** `verifier` gives equal tokens that come at the same time one answer; `read` makes of a token what is remembered with it. */
  constructor(verifier: Verifier, read: (verified: VerifiedJwt) => T, clock: Clock) {
    this.#verifier = verifier
    this.#read = read
    this.#clock = clock
  }

  open(token: string): Known<T> | Refused | Promise<Known<T> | Refused> {
    const known = this.#known.get(token.slice(-keyLength))
    if (known !== undefined && known.token === token && known.verified.stands(this.#clock.now())) return known
    const verified = this.#verifier.verify(token)
    return verified instanceof Promise ? verified.then((settled) => this.#remember(token, settled)) : this.#remember(token, verified)
  }

  #remember(slice: string, verified: VerifiedJwt | Refused): Known<T> | Refused {
    if ('refused' in verified) return verified
    // A copy: a slice would keep its whole envelope in memory.
    const token = Buffer.from(slice, 'latin1').toString('latin1')
    const key = token.slice(-keyLength)
    const present = this.#known.get(key)
    // Of those who waited for one answer, the first has made it.
    if (present?.verified === verified) return present
    const known: Known<T> = { token, verified, content: this.#read(verified) }
    if (present === undefined && this.#known.size >= maxRemembered) {
      for (const oldest of this.#known.keys()) {
        this.#known.delete(oldest)
        break
      }
    }
    this.#known.set(key, known)
    return known
  }
}
