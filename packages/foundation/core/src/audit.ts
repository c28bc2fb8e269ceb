import { createHmac, randomBytes } from 'node:crypto'
import type { AccessRequest } from './access-request.ts'
import type { Clock } from './clock.ts'
import type { Decision, Explanation } from './decision.ts'
import type { Anonymous, Principal } from './principal.ts'
import { isSecret, type Secret } from './secret.ts'

/** Who a principal is, as the audit trail tells it. */
export interface AuditPrincipal {
  readonly issuer: string
  readonly subject: string
  readonly factors: readonly { readonly issuer: string; readonly subject: string }[]
}

interface AuditBase {
  /** Version of this schema. */
  readonly schema: 1
  readonly time: Date
  /** The guard's name. */
  readonly guard: string
}

/** One decision. */
export interface DecisionEvent extends AuditBase {
  readonly type: 'decision'
  readonly outcome: Decision['outcome']
  readonly reason: Exclude<Decision, { outcome: 'allow' }>['reason'] | undefined
  /** The stable code of the refusal. */
  readonly code: string | undefined
  readonly action: string
  readonly resource: string
  readonly protocol: string
  readonly secure: boolean
  readonly remoteAddress: string | undefined
  /** Absent if refused, or anonymous. */
  readonly principal: AuditPrincipal | undefined
  /** A name that was presented and not proven. */
  readonly claimed: string | undefined
  /** The kinds presented; never what was in them. */
  readonly credentials: readonly string[]
  /** HMAC-SHA-256 of the first token presented, base64url, under a key of this process: tells that two events had the same token, and nothing else. Computed when read. */
  readonly tokenDigest: string | undefined
  /** How long the decision took, in milliseconds. */
  readonly durationMs: number
  /** Which leaf said what. Computed when read. */
  readonly explanation: Explanation
}

/** What happened before the guard, or after it, or in its stores; reported by adapters and mechanisms. */
export interface ReportedEvent {
  readonly type:
    | 'handshakeRefused'
    | 'sessionEnded'
    | 'sessionWarning'
    | 'reauthenticated'
    | 'messageRefused'
    | 'storeFailing'
    | 'storeRecovered'
    | 'tlsReloaded'
    | 'tlsReloadFailed'
    | 'warning'
  readonly protocol?: string
  readonly remoteAddress?: string
  readonly principal?: Principal | Anonymous
  /** A stable code. */
  readonly code?: string
  /** For the log; no secrets. */
  readonly message?: string
  readonly cause?: unknown
}

/** A {@link ReportedEvent} with time and guard. */
export interface ReportEvent extends AuditBase {
  readonly type: ReportedEvent['type']
  readonly protocol: string | undefined
  readonly remoteAddress: string | undefined
  readonly principal: AuditPrincipal | undefined
  readonly code: string | undefined
  readonly message: string | undefined
  readonly cause: unknown
}

/** Events were dropped, since the subscribers were slower than the decisions. */
export interface OverflowEvent extends AuditBase {
  readonly type: 'overflow'
  /** How many were dropped since the last such event. */
  readonly dropped: number
}

/** What subscribers get. Every field is JSON or a date, but for `cause`, which is for the log. */
export type AuditEvent = DecisionEvent | ReportEvent | OverflowEvent

/**
 * Gets every event, soon after it happened and in order, never in the tick of the decision. What it throws is ignored
 * and its promises are not awaited: it can neither slow nor break a decision.
 */
export type AuditSubscriber = (event: AuditEvent) => void

// Enough for a burst while a subscriber works; at some 500 bytes each it is 5 MB at most.
const maxQueuedEvents = 10_000
const digestKey = randomBytes(32)

/** The queue between decisions and subscribers. */
export class AuditTrail {
  readonly #subscribers = new Set<AuditSubscriber>()
  readonly #clock: Clock
  #queue: AuditEvent[] = []
  #dropped = 0
  #scheduled = false

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Whether anybody listens; without that an event need not be made. */
  get active(): boolean {
    return this.#subscribers.size > 0
  }

  subscribe(subscriber: AuditSubscriber): () => void {
    this.#subscribers.add(subscriber)
    return () => void this.#subscribers.delete(subscriber)
  }

  decision(guard: string, request: AccessRequest, decision: Decision, durationMs: number): void {
    this.#push(new LazyDecisionEvent(guard, this.#clock.now(), request, decision, durationMs), guard)
  }

  report(guard: string, event: ReportedEvent): void {
    if (!this.active) return
    const { type, protocol, remoteAddress, principal, code, message, cause } = event
    this.#push(
      {
        schema: 1,
        type,
        time: new Date(this.#clock.now()),
        guard,
        protocol,
        remoteAddress,
        principal: auditPrincipal(principal),
        code,
        message,
        cause,
      },
      guard,
    )
  }

  #push(event: AuditEvent, guard: string): void {
    if (this.#queue.length >= maxQueuedEvents) {
      this.#dropped++
      return
    }
    if (this.#dropped > 0) {
      this.#queue.push({ schema: 1, type: 'overflow', time: new Date(this.#clock.now()), guard, dropped: this.#dropped })
      this.#dropped = 0
    }
    this.#queue.push(event)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#drain(guard))
  }

  #drain(guard: string): void {
    const events = this.#queue
    this.#queue = []
    this.#scheduled = false
    if (this.#dropped > 0) {
      events.push({ schema: 1, type: 'overflow', time: new Date(this.#clock.now()), guard, dropped: this.#dropped })
      this.#dropped = 0
    }
    for (const event of events) {
      for (const subscriber of this.#subscribers) {
        try {
          const returned: unknown = subscriber(event)
          // An async function fits the type too; its failure must not become an unhandled rejection.
          if (returned instanceof Promise) returned.catch(() => undefined)
        } catch {
          // A subscriber's fault is not the decision's.
        }
      }
    }
  }
}

/** Reads what it tells from the request and the decision when it is asked, so that a decision costs one small object. */
class LazyDecisionEvent implements DecisionEvent {
  readonly schema = 1
  readonly type = 'decision'
  readonly guard: string
  readonly durationMs: number
  readonly #timeMs: number
  readonly #request: AccessRequest
  readonly #decision: Decision

  constructor(guard: string, timeMs: number, request: AccessRequest, decision: Decision, durationMs: number) {
    this.guard = guard
    this.#timeMs = timeMs
    this.#request = request
    this.#decision = decision
    this.durationMs = durationMs
  }

  get time(): Date {
    return new Date(this.#timeMs)
  }
  get outcome(): DecisionEvent['outcome'] {
    return this.#decision.outcome
  }
  get reason(): DecisionEvent['reason'] {
    return this.#decision.outcome === 'allow' ? undefined : this.#decision.reason
  }
  get code(): string | undefined {
    return this.#decision.code
  }
  get action(): string {
    return this.#request.action
  }
  get resource(): string {
    return this.#request.resource
  }
  get protocol(): string {
    return this.#request.channel.protocol
  }
  get secure(): boolean {
    return this.#request.channel.secure
  }
  get remoteAddress(): string | undefined {
    return this.#request.channel.from === 'peer' ? this.#request.channel.remoteAddress : undefined
  }
  get principal(): AuditPrincipal | undefined {
    return this.#decision.outcome === 'allow' ? auditPrincipal(this.#decision.principal) : undefined
  }
  get claimed(): string | undefined {
    for (const credential of this.#request.credentials) if (credential.kind === 'basic') return credential.username
    return undefined
  }
  get credentials(): readonly string[] {
    return this.#request.credentials.map((credential) => credential.kind)
  }
  get tokenDigest(): string | undefined {
    for (const credential of this.#request.credentials) {
      for (const value of Object.values(credential) as unknown[]) if (isSecret(value) && credential.kind !== 'basic') return digest(value)
    }
    return undefined
  }
  get explanation(): Explanation {
    return this.#decision.explain()
  }
  toJSON(): Omit<DecisionEvent, 'toJSON'> {
    const { leaves, authorization } = this.explanation
    const explanation = {
      leaves: leaves.map(({ leaf, outcome: said, code: why }) => ({ leaf, outcome: said, ...(why !== undefined && { code: why }) })),
      authorization,
    }
    return {
      schema: this.schema,
      type: this.type,
      time: this.time,
      guard: this.guard,
      outcome: this.outcome,
      reason: this.reason,
      code: this.code,
      action: this.action,
      resource: this.resource,
      protocol: this.protocol,
      secure: this.secure,
      remoteAddress: this.remoteAddress,
      principal: this.principal,
      claimed: this.claimed,
      credentials: this.credentials,
      tokenDigest: this.tokenDigest,
      durationMs: this.durationMs,
      explanation,
    }
  }
}

function digest(token: Secret): string {
  return createHmac('sha256', digestKey).update(token.reveal()).digest('base64url')
}

function auditPrincipal(principal: Principal | Anonymous | undefined): AuditPrincipal | undefined {
  if (principal === undefined || principal.kind === 'anonymous') return undefined
  const { issuer, subject, factors } = principal
  return { issuer, subject, factors: factors.map((factor) => ({ issuer: factor.issuer, subject: factor.subject })) }
}
