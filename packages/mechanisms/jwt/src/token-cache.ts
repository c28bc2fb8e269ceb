import { hash } from 'node:crypto'
import type { Revocation } from '@portcullis/core'
import type { JwtClaims } from './claims.ts'
import type { VerificationKey } from './keys.ts'

/** A verdict that may be given again, with what must hold each time. */
export interface Acceptance<T> {
  readonly value: T
  readonly claims: JwtClaims
  readonly key: VerificationKey
  /** What ends it besides its key; `undefined` where that must be asked for each time. */
  readonly revocations: readonly Revocation[] | undefined
  readonly fromMs: number
  readonly untilMs: number
  /** Set by each use, cleared by the sweep that looks for room. */
  used: boolean
}

// A sweep that has cleared as many marks as this takes the next entry, used or not, so that no insertion is slow.
const longestSweep = 64

/**
 * Remembers tokens that were accepted, by the SHA-256 digest of the whole token: the token itself is not held.
 *
 * What is refused is never remembered, so that junk evicts nothing. When it is full, the oldest entry goes that was not
 * used since the last sweep. It belongs to one verifier and is never shared: another one demands other things.
 */
export class TokenCache<T> {
  readonly #entries = new Map<string, Acceptance<T>>()
  readonly #maxEntries: number

  constructor(maxEntries: number) {
    this.#maxEntries = maxEntries
  }

  get(digest: string): Acceptance<T> | undefined {
    return this.#entries.get(digest)
  }

  set(digest: string, entry: Acceptance<T>): void {
    if (this.#entries.size >= this.#maxEntries && !this.#entries.has(digest)) this.#evict()
    this.#entries.set(digest, entry)
  }

  delete(digest: string): void {
    this.#entries.delete(digest)
  }

  get size(): number {
    return this.#entries.size
  }

  #evict(): void {
    let looked = 0
    for (const [digest, entry] of this.#entries) {
      this.#entries.delete(digest)
      if (!entry.used || ++looked > longestSweep) return
      entry.used = false
      this.#entries.set(digest, entry)
    }
  }
}

/** The digest by which a token is remembered; tokens are ASCII, or are refused before anything is remembered. */
export function tokenDigest(token: string): string {
  // 'binary' is latin1: of all encodings, bytes included, the runtime makes it the fastest.
  return hash('sha256', token, 'binary')
}
