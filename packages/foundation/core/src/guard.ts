import type { AccessRequest } from './access-request.ts'
import { AuditTrail, type AuditSubscriber, type ReportedEvent } from './audit.ts'
import type { AuthenticationContext, Offer } from './authenticator.ts'
import type { Action, Authorizer } from './authorizer.ts'
import { systemClock, type Clock } from './clock.ts'
import type { Decision } from './decision.ts'
import { ConfigurationError } from './errors.ts'
import { allowed, authorizeStanding, Evaluation, type Rules } from './evaluation.ts'
import { tell } from './listeners.ts'
import { checkOptions, requireFunction } from './options.ts'
import { alternativesOf, isEveryone, offersOf, type Everyone, type Policy } from './policy.ts'
import { anonymous, type Anonymous, type Principal } from './principal.ts'

type Party = Principal | Anonymous

/** What one level of a policy says; a lower level inherits what it does not name. */
export interface Level<P extends Party = Party> {
  /** Who may come in at all. */
  readonly authenticate: Policy<P> | Everyone
  /** What they may do. Without it, whoever is authenticated may (D-7). */
  readonly authorize?: Authorizer
}

/** What {@link guard} takes. */
export interface GuardOptions<P extends Party = Party> extends Level<P> {
  /** Appears in audit events. Default: `guard`. */
  readonly name?: string
  /** Get every audit event; more can be added with {@link Guard.subscribe}. */
  readonly audit?: AuditSubscriber | readonly AuditSubscriber[]
  readonly clock?: Clock
}

const brand = Symbol.for('portcullis.guard')

/** What the guards of one family share: a guard and all that were derived from it. */
interface Family {
  readonly clock: Clock
  readonly audit: AuditTrail
  readonly listeners: Set<() => void>
  version: number
}

/**
 * The one engine that decides, in every protocol. Made by {@link guard}; adapters of all protocols take the same one.
 *
 * `P` is the type of principal that its policy proves.
 */
export class Guard<P extends Party = Party> {
  readonly name: string
  readonly #family: Family
  readonly #parent: Guard | undefined
  readonly #context: AuthenticationContext
  #own: Partial<Level>
  #rules: Rules | undefined
  #version: number
  #natives: WeakMap<object, P> | undefined

  /** Use {@link guard}. */
  constructor(own: Partial<Level>, family: Family, name: string, parent?: Guard) {
    this.name = name
    this.#own = own
    this.#family = family
    this.#parent = parent
    this.#context = new Context(family.clock)
    this.#version = family.version
    this.#rules = this.#compile()
  }

  get [brand](): true {
    return true
  }

  /** The clock that it judges by. */
  get clock(): Clock {
    return this.#family.clock
  }

  /** The authentication schemes on offer. */
  get offers(): readonly Offer[] {
    return this.#current()?.offers ?? []
  }

  /**
   * Judges one request: the decision, or a promise of it if a mechanism needs I/O. Never throws and never rejects:
   * what goes wrong is a decision too. One audit event is made.
   */
  decide(request: AccessRequest, signal?: AbortSignal): Decision<P> | Promise<Decision<P>> {
    const { audit } = this.#family
    if (!audit.active) return this.#evaluate(request, signal)
    const startedAt = performance.now()
    const decision = this.#evaluate(request, signal)
    if (decision instanceof Promise) return decision.then((made) => this.#record(request, made, startedAt))
    return this.#record(request, decision, startedAt)
  }

  #record(request: AccessRequest, decision: Decision<P>, startedAt: number): Decision<P> {
    this.#family.audit.decision(this.name, request, decision, performance.now() - startedAt)
    return decision
  }

  /**
   * Judges an action of somebody proven before: a frame, a field, a message of an open stream, a session after a policy
   * change. Looks at expiry and revocation, then at `authorize`; not at credentials, and not at the scopes of `withScopes`.
   */
  authorize(principal: P, action: Action): Decision<P> | Promise<Decision<P>> {
    const rules = this.#current()
    // The principal is of this guard's type, and what is allowed is that very principal.
    return (rules === undefined ? allowed(principal) : authorizeStanding(rules, principal, action)) as Decision<P> | Promise<Decision<P>>
  }

  /**
   * Derives a guard for a lower level: a service, a resource. What the level does not name it inherits, now and after
   * later changes. `everyone()` drops inherited scopes. Clock, audit trail and name are shared. Make it once, not per request.
   */
  with<Q extends Party>(level: { readonly authenticate: Policy<Q>; readonly authorize?: Authorizer }): Guard<Q>
  with(level: { readonly authenticate: Everyone }): Guard<Anonymous>
  with(level: { readonly authorize: Authorizer }): Guard<P>
  with(level: Partial<Level>): Guard {
    checkLevel('guard.with', level)
    if (level.authenticate === undefined && level.authorize === undefined)
      throw new ConfigurationError('ERR_OPTION_MISSING', 'guard.with needs `authenticate` or `authorize`.')
    return new Guard(level, this.#family, this.name, this)
  }

  /**
   * Replaces what this level says, at once and for all guards derived from it that inherit it. Open sessions are judged
   * again. The type of principal stays.
   */
  change(level: Partial<Level<P>>): void {
    checkLevel('guard.change', level)
    const before = this.#own
    this.#own = { ...this.#own, ...level }
    try {
      this.#compile()
    } catch (error) {
      this.#own = before
      throw error
    }
    this.#family.version++
    tell(this.#family.listeners, undefined)
  }

  /** Calls `listener` after each policy change in this guard's family. Sessions use it. */
  onChange(listener: () => void): void {
    this.#family.listeners.add(listener)
  }

  /** No longer calls `listener`. */
  offChange(listener: () => void): void {
    this.#family.listeners.delete(listener)
  }

  /** Puts into the audit trail what happened before the guard or after it: refused handshakes, ended sessions, failing stores. */
  report(event: ReportedEvent): void {
    this.#family.audit.report(this.name, event)
  }

  /** Adds a subscriber to the audit trail of this guard's family; returns how to stop. */
  subscribe(subscriber: AuditSubscriber): () => void {
    return this.#family.audit.subscribe(requireFunction('guard.subscribe', subscriber))
  }

  /** For adapters of frameworks that fix the handler's shape: keeps the principal of a native request for {@link principalOf}. */
  remember(native: object, principal: P): void {
    ;(this.#natives ??= new WeakMap()).set(native, principal)
  }

  /** What was {@link remember}ed for this native request by this guard. */
  recall(native: object): P | undefined {
    return this.#natives?.get(native)
  }

  #evaluate(request: AccessRequest, signal: AbortSignal | undefined): Decision<P> | Promise<Decision<P>> {
    const rules = this.#current()
    if (rules === undefined) return allowed(anonymous) as Decision<P>
    // What the policy's leaves prove is P by construction; the compiler cannot follow it through the expansion.
    return new Evaluation(signal === undefined ? rules : { ...rules, context: { clock: rules.context.clock, signal } }, request).run() as
      | Decision<P>
      | Promise<Decision<P>>
  }

  #current(): Rules | undefined {
    if (this.#version !== this.#family.version) {
      this.#version = this.#family.version
      this.#rules = this.#compile()
    }
    return this.#rules
  }

  /** The rules in force here; `undefined` where nothing is judged. */
  #compile(): Rules | undefined {
    const { authenticate, authorize } = this.#effective()
    if (authenticate === undefined)
      throw new ConfigurationError('ERR_OPTION_MISSING', 'A guard needs `authenticate`; for open access write everyone().')
    if (isEveryone(authenticate)) {
      if (authorize !== undefined)
        throw new ConfigurationError(
          'ERR_OPTION_INVALID',
          'everyone() judges nobody, so no `authorize` can hold; for "nothing presented" use absent().',
        )
      return undefined
    }
    const alternatives = alternativesOf('authenticate', authenticate)
    return { alternatives, authorize, offers: offersOf(alternatives), context: this.#context }
  }

  #effective(): Partial<Level> {
    const inherited = this.#parent === undefined || isEveryone(this.#own.authenticate) ? {} : this.#parent.#effective()
    return { ...inherited, ...this.#own }
  }
}

/**
 * Makes a guard. `authenticate` says who may come in (a mechanism, `anyOf`, `allOf`, or `everyone()`), `authorize` what
 * they may do (`scope('orders:read')`, `anyOf(...)`, or a function); without `authorize` whoever is authenticated may.
 *
 * Throws a `ConfigurationError` for a missing or empty policy and for unknown options.
 */
export function guard<P extends Party>(options: GuardOptions<P> & { readonly authenticate: Policy<P> }): Guard<P>
export function guard(options: GuardOptions & { readonly authenticate: Everyone }): Guard<Anonymous>
export function guard(options: GuardOptions): Guard {
  checkOptions<GuardOptions>('guard', options, { authenticate: true, authorize: true, name: true, audit: true, clock: true })
  const { name = 'guard', audit = [], clock = systemClock, ...level } = options
  checkLevel('guard', level)
  const family: Family = { clock, audit: new AuditTrail(clock), listeners: new Set(), version: 0 }
  for (const subscriber of typeof audit === 'function' ? [audit] : audit) family.audit.subscribe(requireFunction('guard audit', subscriber))
  return new Guard(level, family, name)
}

/** Tells a guard, of any copy of this package. */
export function isGuard(value: unknown): value is Guard {
  return typeof value === 'object' && value !== null && (value as { [brand]?: unknown })[brand] === true
}

/** Refuses anything but a guard; for adapters, in plain JavaScript too. Throws `ERR_GUARD_MISSING`. */
export function requireGuard<P extends Party>(where: string, value: Guard<P> | undefined): Guard<P> {
  if (!isGuard(value))
    throw new ConfigurationError('ERR_GUARD_MISSING', `${where} needs a guard; for open access pass guard({ authenticate: everyone() }).`)
  return value
}

/**
 * The principal of a native request in a framework that fixes the handler's shape. Throws `ERR_GUARD_NOT_RUN`, never
 * returns `undefined`: a route that was forgotten is an error and not an anonymous visitor.
 */
export function principalOf<P extends Party>(by: Guard<P>, native: object): P {
  const principal = by.recall(native)
  if (principal === undefined)
    throw new ConfigurationError(
      'ERR_GUARD_NOT_RUN',
      `Guard "${by.name}" has not allowed this request; put its middleware before the handler.`,
    )
  return principal
}

function checkLevel(where: string, level: Partial<Level>): void {
  checkOptions<Partial<Level>>(where, level, { authenticate: true, authorize: true })
  for (const key of ['authenticate', 'authorize'] as const) {
    // `authorize: undefined` from a failed look-up must not read as "no authorization".
    if (Object.hasOwn(level, key) && level[key] === undefined)
      throw new ConfigurationError('ERR_OPTION_INVALID', `${where}: \`${key}\` is present and undefined; leave it out or say what it is.`)
  }
  if (level.authorize !== undefined && typeof level.authorize !== 'function')
    throw new ConfigurationError('ERR_OPTION_INVALID', `${where}: \`authorize\` must be a function; for a scope write scope("…").`)
}

/** Its signal is made only for who reads it: most mechanisms do not. */
class Context implements AuthenticationContext {
  readonly clock: Clock
  #signal: AbortSignal | undefined

  constructor(clock: Clock) {
    this.clock = clock
  }

  get signal(): AbortSignal {
    return (this.#signal ??= new AbortController().signal)
  }
}
