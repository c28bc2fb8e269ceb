import { BoundedCache, sameSubject, type Action, type Clock, type Principal } from '@portcullis/core'
import { createHash } from 'node:crypto'

/** Somebody who was proven, and by what request: what was allowed then is judged again later. */
export interface Held<P extends Principal> {
  readonly principal: P
  readonly login: Action
}

// A name in a virtual host each; some hundred bytes and a principal, so at most some tens of megabytes.
const maxHeld = 10_000
// RabbitMQ gives a client ten seconds from its login to the virtual host; who raised that has room.
const handshakeMs = 60_000

/**
 * Who was proven last under a name, and under a name in a virtual host. When it is full, who was asked about least
 * recently goes first, and is then unknown.
 *
 * A name is one party's for as long as its principal holds: somebody else who proves to have the same name, from another
 * issuer, is not taken in. Otherwise whoever waits under a name would have the rights of who comes next.
 */
export class Standing<P extends Principal> {
  readonly #clock: Clock
  readonly #maxLifetimeMs: number
  readonly #proven: BoundedCache<string, Held<P>>
  readonly #entered: BoundedCache<string, Held<P>>

  constructor(clock: Clock, maxLifetimeMs: number) {
    this.#clock = clock
    this.#maxLifetimeMs = maxLifetimeMs
    this.#proven = new BoundedCache({ maxEntries: maxHeld, clock })
    this.#entered = new BoundedCache({ maxEntries: maxHeld, clock })
  }

  /** Somebody has logged in. False if the name is another's. */
  prove(name: string, held: Held<P>): boolean {
    return this.#keep(this.#proven, keyOf(name), held, handshakeMs)
  }

  /** About whom a call to enter a virtual host is. */
  entering(name: string, virtualHost: string): Held<P> | undefined {
    return this.#proven.get(keyOf(name)) ?? this.in(name, virtualHost)
  }

  /** Somebody has entered. False if the name is another's there. */
  enter(name: string, virtualHost: string, held: Held<P>): boolean {
    return this.#keep(this.#entered, keyOf(name, virtualHost), held, this.#maxLifetimeMs)
  }

  /** Who has entered under this name. Whether that still holds is not looked at. */
  in(name: string, virtualHost: string): Held<P> | undefined {
    return this.#entered.get(keyOf(name, virtualHost))
  }

  #keep(where: BoundedCache<string, Held<P>>, key: string, held: Held<P>, forMs: number): boolean {
    const before = where.get(key)
    // Asking again proves nothing anew.
    if (before === held) return true
    if (before !== undefined && !before.principal.revoked && !sameSubject(before.principal, held.principal)) return false
    where.set(key, held, Math.min(held.principal.expiresAtMs, this.#clock.now() + forMs))
    return true
  }
}

/** Of one length, whatever a peer calls itself. */
function keyOf(...names: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(names)).digest('base64')
}
