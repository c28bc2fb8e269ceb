import {
  checkOptions,
  ConfigurationError,
  requireNumber,
  requireText,
  Revocation,
  systemClock,
  UnavailableError,
  type Clock,
} from '@portcullis/core'
import { maxClockToleranceSeconds, type JwtClaims } from './claims.ts'
import type { JwtErrorCode } from './errors.ts'
import type { Revocations } from './revocations.ts'

/**
 * Which tokens of an issuer no longer count: one (`jti`), all of a session (`sid`), or all that a subject was given up
 * to a time (`sub` and `iat`), so that it can log in again.
 */
export type Denial = {
  readonly issuer: string
  /** When the last of these tokens will have expired; then the denial is forgotten. Too early would let them rise again. */
  readonly until: Date
  /** For the log, in what ended sessions tell. */
  readonly reason?: string
} & (
  | { readonly jwtId: string; readonly sessionId?: never; readonly subject?: never; readonly issuedBefore?: never }
  | { readonly sessionId: string; readonly jwtId?: never; readonly subject?: never; readonly issuedBefore?: never }
  /** `issuedBefore` defaults to now; a token of that very second counts as before, and so does one without `iat`. */
  | { readonly subject: string; readonly issuedBefore?: Date; readonly jwtId?: never; readonly sessionId?: never }
)

/** Tokens that were revoked before they expired. Made by {@link denyList}. */
export interface DenyList extends Revocations {
  /**
   * Refuses these tokens from here on, and ends the live sessions and remembered verdicts that rest on them. Throws
   * `ERR_JWT_DENY_LIST_FULL` when there is no room, having ended what is live: the caller must know that the tokens
   * themselves still count.
   */
  deny(denial: Denial): void
  /** How many denials it holds. */
  readonly size: number
}

type Kind = 'jti' | 'sid' | 'sub'

interface Denied {
  readonly untilMs: number
  readonly issuedBeforeMs: number
}

/** A token that something alive rests on. The list does not keep it alive: who dropped it needs no telling. */
interface Live {
  readonly revocation: WeakRef<Revocation>
  readonly keys: readonly string[]
  readonly issuedMs: number
}

// A hundred thousand denials take some 20 MB; an issuer that needs more has a leak, and should change its key.
const defaultMaxEntries = 100_000

/**
 * Makes a deny list, to be given to `jwt()` as `revocations`. It is in the memory of this process: to tell several, let
 * each hear of a revocation and call {@link DenyList.deny}.
 */
export function denyList(options: { readonly maxEntries?: number; readonly clock?: Clock } = {}): DenyList {
  checkOptions('denyList', options, { maxEntries: true, clock: true })
  return new MemoryDenyList(
    requireNumber('maxEntries', options.maxEntries ?? defaultMaxEntries, { min: 1, max: 10_000_000 }),
    options.clock ?? systemClock,
  )
}

class MemoryDenyList implements DenyList {
  readonly #maxEntries: number
  readonly #clock: Clock
  readonly #denied = new Map<string, Denied>()
  readonly #live = new Map<string, Set<Live>>()
  readonly #dropped = new FinalizationRegistry<Live>((live) => this.#forget(live))

  constructor(maxEntries: number, clock: Clock) {
    this.#maxEntries = maxEntries
    this.#clock = clock
  }

  get size(): number {
    return this.#denied.size
  }

  deny(denial: Denial): void {
    checkOptions<Required<Denial>>('deny', denial as Required<Denial>, {
      issuer: true,
      until: true,
      reason: true,
      jwtId: true,
      sessionId: true,
      subject: true,
      issuedBefore: true,
    })
    const now = this.#clock.now()
    const key = keyOf(requireText('issuer', denial.issuer), ...whatOf(denial))
    const issuedBeforeMs =
      denial.subject === undefined ? Number.POSITIVE_INFINITY : timeOf('issuedBefore', denial.issuedBefore ?? new Date(now))
    const untilMs = timeOf('until', denial.until) + maxClockToleranceSeconds * 1000
    for (const live of this.#live.get(key) ?? []) {
      if (live.issuedMs <= issuedBeforeMs) live.revocation.deref()?.revoke(denial.reason ?? 'The token was revoked.')
    }
    const before = this.#denied.get(key)
    if (before === undefined) this.#makeRoom(now)
    // A second denial of the same never takes back a part of the first.
    this.#denied.set(key, {
      untilMs: Math.max(untilMs, before?.untilMs ?? untilMs),
      issuedBeforeMs: Math.max(issuedBeforeMs, before?.issuedBeforeMs ?? issuedBeforeMs),
    })
  }

  isRevoked(claims: JwtClaims): boolean {
    if (this.#denied.size === 0) return false
    const now = this.#clock.now()
    const issuedMs = issuedAt(claims)
    return keysOf(claims).some((key) => {
      const denied = this.#denied.get(key)
      return denied !== undefined && now < denied.untilMs && issuedMs <= denied.issuedBeforeMs
    })
  }

  handlesOf(claims: JwtClaims): readonly Revocation[] {
    const revocation = new Revocation()
    const live: Live = { revocation: new WeakRef(revocation), keys: keysOf(claims), issuedMs: issuedAt(claims) }
    for (const key of live.keys) {
      const others = this.#live.get(key)
      if (others === undefined) this.#live.set(key, new Set([live]))
      else others.add(live)
    }
    this.#dropped.register(revocation, live)
    return [revocation]
  }

  #forget(live: Live): void {
    for (const key of live.keys) {
      const others = this.#live.get(key)
      if (others?.delete(live) === true && others.size === 0) this.#live.delete(key)
    }
  }

  #makeRoom(now: number): void {
    if (this.#denied.size < this.#maxEntries) return
    for (const [key, { untilMs }] of this.#denied) if (untilMs <= now) this.#denied.delete(key)
    if (this.#denied.size < this.#maxEntries) return
    throw new UnavailableError<JwtErrorCode>('ERR_JWT_DENY_LIST_FULL', {
      message: `The deny list holds ${this.#maxEntries} denials already.`,
      reason: 'overload',
    })
  }
}

function whatOf(denial: Denial): [Kind, string] {
  const { jwtId, sessionId, subject } = denial
  if ([jwtId, sessionId, subject].filter((one) => one !== undefined).length !== 1) {
    throw new ConfigurationError('ERR_OPTION_MISSING', 'deny takes one of jwtId, sessionId and subject.')
  }
  if (jwtId !== undefined) return ['jti', requireText('jwtId', jwtId)]
  if (sessionId !== undefined) return ['sid', requireText('sessionId', sessionId)]
  return ['sub', requireText('subject', subject)]
}

function keysOf(claims: JwtClaims): readonly string[] {
  const { iss, jti, sub, sid } = claims
  const keys: string[] = []
  if (iss === undefined) return keys
  if (typeof jti === 'string') keys.push(keyOf(iss, 'jti', jti))
  if (typeof sid === 'string') keys.push(keyOf(iss, 'sid', sid))
  if (typeof sub === 'string') keys.push(keyOf(iss, 'sub', sub))
  return keys
}

// The length keeps the three parts apart, whatever characters they have.
function keyOf(issuer: string, kind: Kind, value: string): string {
  return `${kind}${issuer.length}:${issuer}${value}`
}

function issuedAt({ iat }: JwtClaims): number {
  return iat === undefined ? Number.NEGATIVE_INFINITY : iat * 1000
}

function timeOf(where: string, date: Date): number {
  const time = date instanceof Date ? date.getTime() : Number.NaN
  if (Number.isNaN(time)) throw new ConfigurationError('ERR_OPTION_INVALID', `${where} must be a valid date.`)
  return time
}
