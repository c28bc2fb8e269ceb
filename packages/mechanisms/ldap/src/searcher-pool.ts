import type { Clock, Secret } from '@portcullis/core'
import { isSecurityError, UnavailableError } from '@portcullis/core'
import type { ConnectionSettings } from './connection.ts'
import { Connection } from './connection.ts'
import { Turns } from './turns.ts'

/** As whom the pool searches, and how many connections it keeps. */
export interface SearcherSettings {
  readonly connection: ConnectionSettings
  readonly dn: string
  readonly password: Secret
  readonly maxConnections: number
  /** How often a search is tried again on a fresh connection after one broke. */
  readonly retries: number
  readonly clock: Clock
}

// A searcher whose password is wrong must not be locked out by its own service.
const refusedForMs = 60_000

/**
 * Connections that are bound as the searcher, each used by one search at a time. None is ever bound as anybody else, and
 * one that broke is thrown away: the next is bound anew before it is used.
 */
export class SearcherPool {
  readonly #settings: SearcherSettings
  readonly #idle: Connection[] = []
  readonly #turns: Turns
  #refusedUntilMs = 0
  #closed = false

  constructor(settings: SearcherSettings) {
    this.#settings = settings
    // Those who wait are bounded by the logins that the store lets in.
    this.#turns = new Turns(settings.maxConnections)
  }

  /**
   * Runs `work`, which must be repeatable, on a connection. Throws `ERR_LDAP_SEARCHER_REFUSED`, `ERR_LDAP_CLOSED`, and
   * what connections throw.
   */
  async use<T>(work: (connection: Connection) => Promise<T>, signal: AbortSignal): Promise<T> {
    await this.#turns.take(signal)
    try {
      for (let attempt = 0; ; attempt++) {
        let connection: Connection | undefined
        try {
          connection = this.#takeIdle() ?? (await this.#open(signal))
          return await work(connection)
        } catch (error) {
          const broke = isSecurityError(error, 'ERR_LDAP_UNREACHABLE')
          if (!broke || attempt >= this.#settings.retries || signal.aborted) throw error
          // The others have been idle as long, and have most likely met the same end.
          if (connection !== undefined) this.#dropIdle()
        } finally {
          if (connection !== undefined) this.#release(connection)
        }
      }
    } finally {
      this.#turns.leave()
    }
  }

  /** Ends all connections; searches that run fail. */
  close(): void {
    this.#closed = true
    this.#dropIdle()
  }

  #takeIdle(): Connection | undefined {
    for (let connection = this.#idle.pop(); connection !== undefined; connection = this.#idle.pop()) {
      if (connection.open) return connection
      connection.close()
    }
    return undefined
  }

  async #open(signal: AbortSignal): Promise<Connection> {
    const { connection: settings, dn, password, clock } = this.#settings
    if (this.#closed) throw new UnavailableError('ERR_LDAP_CLOSED', 'The store was closed.')
    const leftMs = this.#refusedUntilMs - clock.now()
    // More is left than was ever set only where the clock was set back.
    if (leftMs > 0 && leftMs <= refusedForMs) throw searcherRefused()
    const connection = await Connection.open(settings, signal)
    try {
      const refused = await connection.bind(dn, password)
      if (refused === undefined) return connection
      this.#refusedUntilMs = clock.now() + refusedForMs
      throw searcherRefused(refused)
    } catch (error) {
      connection.close()
      throw error
    }
  }

  #release(connection: Connection): void {
    if (connection.open && !this.#closed) this.#idle.push(connection)
    else connection.close()
  }

  #dropIdle(): void {
    for (const connection of this.#idle.splice(0)) connection.close()
  }
}

function searcherRefused(resultCode?: number): UnavailableError {
  const why = resultCode === undefined ? 'not tried again so soon' : `result code ${resultCode}`
  return new UnavailableError('ERR_LDAP_SEARCHER_REFUSED', {
    message: `The directory refused the searcher (${why}).`,
    retryAfterMs: refusedForMs,
  })
}
