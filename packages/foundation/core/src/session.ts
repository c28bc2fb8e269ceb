import type { AccessRequest } from './access-request.ts'
import type { Action } from './authorizer.ts'
import type { Timer } from './clock.ts'
import type { Decision, Refusal } from './decision.ts'
import type { Guard } from './guard.ts'
import { checkOptions, requireNumber } from './options.ts'
import { sameSubject, type Anonymous, type Principal } from './principal.ts'

/**
 * Why a live connection ended. An adapter answers by a total `Record<EndReason, …>`.
 *
 * - `expired`: the principal's time, and the grace, are over. `revoked`: it was revoked.
 * - `policy`: a policy change no longer admits it. `subjectChanged`: re-authentication named another subject, issuer or key.
 * - `reauthenticationLimit`: too many attempts. `closed`: either side closed it. `shutdown`: the listener stops.
 */
export type EndReason = 'expired' | 'revoked' | 'policy' | 'subjectChanged' | 'reauthenticationLimit' | 'closed' | 'shutdown'

/** Without any limit of the principal's own, a connection lives for an hour: about the lifetime of an access token. */
export const defaultMaxSessionMs = 3_600_000
/** A minute before the end is time for a client to fetch a token, and not so long that short tokens warn at once. */
export const defaultWarnBeforeMs = 60_000
/** Grace is for clocks that differ and for a token fetch that is under way, not a second lifetime. */
export const maxGraceMs = 60_000
/** Refused attempts at re-authentication in one session. A client that renews never fails that often; a guesser does. */
export const maxFailedReauthentications = 5
// A clock that is set is noticed within this time; a longer wait is taken in steps.
const longestWaitMs = 60_000

/** What an {@link AuthSession} is made of. */
export interface AuthSessionOptions<P extends Principal | Anonymous = Principal> {
  readonly guard: Guard<P>
  readonly principal: P
  /** What opened it. Judged again when the policy changes; a session that would not be opened any more ends. */
  readonly action: Action
  /** `wss`, `grpc`, … for the audit trail. */
  readonly protocol: string
  readonly remoteAddress?: string
  /** The longest life of a session whose principal has no expiry. Default: {@link defaultMaxSessionMs}. */
  readonly maxSessionMs?: number
  /** How long before the end {@link onWarning} is called. Default: {@link defaultWarnBeforeMs}, at most half of what is left. */
  readonly warnBeforeMs?: number
  /** How long after expiry the connection may live on, up to {@link maxGraceMs}. Default: 0. Never applies to revocation. */
  readonly graceMs?: number
  /** Called before the end, so that the peer can be told to re-authenticate. */
  readonly onWarning?: (expiresAt: Date) => void
  /** Called once, when the session is over; the adapter closes the connection in its protocol's words. */
  readonly onEnd: (reason: EndReason) => void
}

/** Something open within a session (a stream, a subscription) that is judged again when the rights change. */
export interface Watched<P extends Principal | Anonymous = Principal> {
  /** The guard of that resource. Default: the session's. */
  readonly guard?: Guard<P>
  readonly action: Action
  /** Called once, when it may not go on. */
  readonly onEnd: (refusal: Refusal) => void
}

/**
 * The clock of a live connection: holds its principal, warns before it expires, takes re-authentication, and ends the
 * connection at expiry and on revocation; by timers, not by frames, so that a silent subscriber stops receiving too.
 *
 * The adapter asks {@link ended} before it delivers anything, calls {@link authorize} for what needs a decision, and
 * {@link close} when the connection is gone.
 */
export class AuthSession<P extends Principal | Anonymous = Principal> {
  readonly #options: AuthSessionOptions<P>
  #principal: P
  #heldAtMs = 0
  #endsAtMs = 0
  #warnedForMs = 0
  #timer: Timer | undefined
  #ended: EndReason | undefined
  #failures = 0
  #watched: Set<Watched<P>> | undefined
  readonly #onTick = (): void => this.#tick()
  readonly #onRevoked = (): void => this.#finish('revoked')
  readonly #onPolicyChange = (): void => this.#policyChanged()

  constructor(options: AuthSessionOptions<P>) {
    checkOptions<AuthSessionOptions<P>>('AuthSession', options, {
      guard: true,
      principal: true,
      action: true,
      protocol: true,
      remoteAddress: true,
      maxSessionMs: true,
      warnBeforeMs: true,
      graceMs: true,
      onWarning: true,
      onEnd: true,
    })
    // A year is more than any credential should live.
    if (options.maxSessionMs !== undefined) requireNumber('maxSessionMs', options.maxSessionMs, { min: 1, max: 366 * 86_400_000 })
    if (options.warnBeforeMs !== undefined) requireNumber('warnBeforeMs', options.warnBeforeMs, { min: 0, max: 86_400_000 })
    if (options.graceMs !== undefined) requireNumber('graceMs', options.graceMs, { min: 0, max: maxGraceMs })
    this.#options = options
    this.#principal = options.principal
    options.guard.onChange(this.#onPolicyChange)
    this.#hold(options.principal)
  }

  /** Who the peer is at the moment. */
  get principal(): P {
    return this.#principal
  }

  /** Why it ended; `undefined` while it lives. Looks at the clock too, so that nothing passes between expiry and its timer. */
  get ended(): EndReason | undefined {
    if (this.#ended === undefined && this.#options.guard.clock.now() >= this.#endsAtMs) this.#finish('expired')
    return this.#ended
  }

  /** When it ends unless it re-authenticates, the grace included. */
  get endsAt(): Date {
    return new Date(this.#endsAtMs)
  }

  /** Judges an action of the present principal. */
  authorize(action: Action): Decision<P> | Promise<Decision<P>> {
    return this.#options.guard.authorize(this.#principal, action)
  }

  /** Registers something that is open; returns how to say that it is closed. */
  watch(watched: Watched<P>): () => void {
    ;(this.#watched ??= new Set()).add(watched)
    return () => void this.#watched?.delete(watched)
  }

  /**
   * Takes new credentials through the whole guard. An attempt that is refused or cannot be judged changes nothing; the
   * old clock runs on, and {@link maxFailedReauthentications} refusals end the session. The same subject of the same
   * issuer with the same key must come out, else the session ends. Afterwards the new scopes hold, and everything
   * watched is judged again.
   */
  async reauthenticate(request: AccessRequest): Promise<Decision<P>> {
    const decision = await this.#options.guard.decide(request)
    if (this.ended !== undefined) return decision
    if (decision.outcome !== 'allow') {
      if (decision.outcome !== 'unavailable' && ++this.#failures >= maxFailedReauthentications) this.#finish('reauthenticationLimit')
      return decision
    }
    if (!sameParty(this.#principal, decision.principal)) {
      this.#finish('subjectChanged')
      return decision
    }
    this.#failures = 0
    this.#hold(decision.principal)
    if (this.#ended !== undefined) return decision
    this.#report('reauthenticated')
    this.#reconsider()
    return decision
  }

  /** Ends it from the adapter's side: the connection is gone, or the listener stops. Calls `onEnd` like any other end. */
  close(reason: 'closed' | 'shutdown' = 'closed'): void {
    this.#finish(reason)
  }

  #hold(principal: P): void {
    this.#forget(this.#principal)
    this.#principal = principal
    const { maxSessionMs = defaultMaxSessionMs, graceMs = 0, guard } = this.#options
    const now = guard.clock.now()
    this.#heldAtMs = now
    const expiresAtMs = principal.kind === 'principal' ? principal.expiresAtMs : Number.POSITIVE_INFINITY
    this.#endsAtMs = expiresAtMs === Number.POSITIVE_INFINITY ? now + maxSessionMs : expiresAtMs + graceMs
    this.#warnedForMs = 0
    if (principal.kind === 'principal') {
      for (const revocation of principal.revocations) {
        revocation.subscribe(this.#onRevoked)
        // It had been revoked already, and has ended the session within subscribe.
        if (this.#ended !== undefined) return
      }
    }
    this.#tick()
  }

  #forget(principal: P): void {
    if (principal.kind === 'principal') for (const revocation of principal.revocations) revocation.unsubscribe(this.#onRevoked)
  }

  /** Looks at the clock, does what is due, and sleeps until the next thing; the clock may have been set meanwhile. */
  #tick(): void {
    this.#timer?.cancel()
    if (this.ended !== undefined) return
    const { guard, graceMs = 0, warnBeforeMs = defaultWarnBeforeMs, onWarning } = this.#options
    const now = guard.clock.now()
    const expiresAtMs = this.#endsAtMs - graceMs
    const warnAtMs = Math.max(expiresAtMs - warnBeforeMs, (this.#heldAtMs + expiresAtMs) / 2)
    const due = now >= warnAtMs
    this.#timer = guard.clock.schedule(Math.min(Math.max(0, (due ? this.#endsAtMs : warnAtMs) - now), longestWaitMs), this.#onTick)
    if (!due || this.#warnedForMs === expiresAtMs) return
    this.#warnedForMs = expiresAtMs
    this.#report('sessionWarning')
    this.#call(() => onWarning?.(new Date(expiresAtMs)))
  }

  #policyChanged(): void {
    void settle(this.authorize(this.#options.action), (decision) => {
      if (decision.outcome === 'allow') this.#reconsider()
      else this.#finish('policy')
    })
  }

  /** Judges again what is open, after the rights changed. */
  #reconsider(): void {
    for (const watched of this.#watched ?? []) {
      const guard = watched.guard ?? this.#options.guard
      void settle(guard.authorize(this.#principal, watched.action), (decision) => {
        if (decision.outcome === 'allow' || this.#watched?.delete(watched) !== true) return
        this.#call(() => watched.onEnd(decision))
      })
    }
  }

  #finish(reason: EndReason): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    this.#timer?.cancel()
    this.#options.guard.offChange(this.#onPolicyChange)
    this.#forget(this.#principal)
    this.#watched = undefined
    this.#report('sessionEnded', reason)
    this.#call(() => this.#options.onEnd(reason))
  }

  /** What the adapter does about it may fail; the clock runs on, and whoever revoked or changed a policy has done so. */
  #call(task: () => void): void {
    try {
      task()
    } catch (cause) {
      const { guard, protocol } = this.#options
      guard.report({ type: 'warning', protocol, principal: this.#principal, message: 'A callback of a session threw.', cause })
    }
  }

  #report(type: 'sessionEnded' | 'sessionWarning' | 'reauthenticated', reason?: EndReason): void {
    const { guard, protocol, remoteAddress } = this.#options
    guard.report({
      type,
      protocol,
      principal: this.#principal,
      ...(remoteAddress !== undefined && { remoteAddress }),
      ...(reason !== undefined && { message: reason }),
    })
  }
}

function sameParty(before: Principal | Anonymous, after: Principal | Anonymous): boolean {
  if (before.kind === 'anonymous' || after.kind === 'anonymous') return before.kind === after.kind
  return sameSubject(before, after) && JSON.stringify(sorted(before.confirmation)) === JSON.stringify(sorted(after.confirmation))
}

function sorted(confirmation: Readonly<Record<string, string>> | undefined): unknown {
  return confirmation === undefined ? undefined : Object.entries(confirmation).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function settle<T>(value: T | Promise<T>, use: (value: T) => void): void | Promise<void> {
  return value instanceof Promise ? value.then(use) : use(value)
}
