import { ConfigurationError } from './errors.ts'
import type { Revocation } from './revocation.ts'

/** Statements about a principal, as the authority made them. Their types are checked only where a schema is given to the mechanism. */
export type Claims = Readonly<Record<string, unknown>>

/**
 * The key that a principal is bound to, as thumbprint (RFC 7800, `cnf`): `jkt` of a public key (RFC 7638),
 * `x5t#S256` of a certificate (RFC 8705). The guard allows only who has shown possession of it.
 */
export type Confirmation = Readonly<Record<string, string>>

/** What a principal is made of. */
export interface PrincipalInit<C extends Claims = Claims> {
  /** Who says so: an issuer's URL, the name of a user store, a trust anchor. Equal subjects of two issuers are two principals. */
  readonly issuer: string
  readonly subject: string
  readonly scopes?: Iterable<string>
  readonly claims?: C
  /** When the peer proved who it is, if the authority says so (`auth_time`). */
  readonly authenticatedAt?: Date
  /** When this stops to hold. Without it, a session gets the listener's longest duration. */
  readonly expiresAt?: Date
  readonly confirmation?: Confirmation
  /** Who acts for the subject (RFC 8693 section 4.1). */
  readonly actor?: Principal
  /** What ends it before its time. */
  readonly revocations?: readonly Revocation[]
}

// Under Symbol.for, so that two copies of this package in one process know each other's principals. Each tells its own by
// a private field and not by a property: a property is copied by a spread, and a copy has been vouched for by nobody.
const registry = Symbol.for('portcullis.principals')
const copies = ((globalThis as unknown as Record<symbol, ((value: object) => boolean)[] | undefined>)[registry] ??= [])

const never = Number.POSITIVE_INFINITY
const noFactors: readonly Principal[] = Object.freeze([])
const noRevocations: readonly Revocation[] = Object.freeze([])
const noClaims: Claims = Object.freeze({})

class ScopeSet extends Set<string> {
  override add(_scope: string): this {
    // Set's own constructor adds through here before the freeze mark stands.
    if (frozenScopes.has(this)) throw new TypeError('The scopes of a principal do not change.')
    return super.add(_scope)
  }
  override delete(_scope: string): boolean {
    throw new TypeError('The scopes of a principal do not change.')
  }
  override clear(): void {
    throw new TypeError('The scopes of a principal do not change.')
  }
}
const frozenScopes = new WeakSet<ScopeSet>()
const noScopes = scopeSet([])

class VouchedPrincipal<C extends Claims = Claims> {
  // Private state makes the type nominal: a spread or a literal of the same shape does not type-check.
  readonly #expiresAtMs: number
  readonly #authenticatedAtMs: number | undefined
  readonly kind = 'principal' as const
  readonly issuer: string
  readonly subject: string
  readonly scopes: ReadonlySet<string>
  readonly claims: C
  readonly confirmation: Confirmation | undefined
  readonly actor: Principal | undefined
  readonly factors: readonly Principal[]
  readonly revocations: readonly Revocation[]

  constructor(init: PrincipalInit<C>, factors: readonly Principal[], expiresAtMs: number) {
    this.issuer = init.issuer
    this.subject = init.subject
    this.scopes = init.scopes === undefined ? noScopes : scopeSet(init.scopes)
    this.claims = init.claims === undefined ? (noClaims as C) : deepFreeze(init.claims)
    this.confirmation = init.confirmation === undefined ? undefined : Object.freeze({ ...init.confirmation })
    this.actor = init.actor
    this.factors = factors
    this.revocations =
      init.revocations === undefined || init.revocations.length === 0 ? noRevocations : Object.freeze([...init.revocations])
    this.#expiresAtMs = expiresAtMs
    this.#authenticatedAtMs = init.authenticatedAt?.getTime()
    Object.freeze(this)
  }

  static {
    copies.push((value) => #expiresAtMs in value)
  }

  /** When this stops to hold; a fresh `Date` each time, since dates can be changed and principals are shared. */
  get expiresAt(): Date | undefined {
    return this.#expiresAtMs === never ? undefined : new Date(this.#expiresAtMs)
  }

  /** The same in milliseconds since the epoch; `Infinity` if nothing limits it. */
  get expiresAtMs(): number {
    return this.#expiresAtMs
  }

  /** When the peer proved who it is, as far as the authority says so. */
  get authenticatedAt(): Date | undefined {
    return this.#authenticatedAtMs === undefined ? undefined : new Date(this.#authenticatedAtMs)
  }

  /** True once it, or one of its factors, was revoked. */
  get revoked(): boolean {
    for (const revocation of this.revocations) if (revocation.revoked) return true
    return false
  }

  /** The factor that this issuer vouches for, the principal itself included; authorizers ask factors by name. */
  factorOf(issuer: string): Principal | undefined {
    if (this.issuer === issuer) return this
    return this.factors.find((factor) => factor.issuer === issuer)
  }
}

/**
 * Who a peer is, proven. Issuer and subject are equal only together; scopes are those that this subject was given.
 *
 * It is deeply immutable, since caches share it, and made only by {@link vouchForPrincipal}.
 */
export type Principal<C extends Claims = Claims> = VouchedPrincipal<C>

/** The peer of a policy that asks nobody to prove anything. It has no subject and satisfies no scope. */
export interface Anonymous {
  readonly kind: 'anonymous'
  readonly subject?: never
}

/** The one {@link Anonymous}. */
export const anonymous: Anonymous = Object.freeze({ kind: 'anonymous' })

/**
 * Declares that a peer has proven to be who `init` says. **It checks nothing, it creates belief**: a search for its
 * name lists every origin of principals in a system. Mechanisms call it after their last check.
 *
 * Claims are frozen in place, deeply. Throws `ERR_PRINCIPAL_INVALID` for an empty issuer or subject and for dates that are none.
 */
export function vouchForPrincipal<C extends Claims = Claims>(init: PrincipalInit<C>): Principal<C> {
  if (typeof init.subject !== 'string' || init.subject === '')
    throw new ConfigurationError('ERR_PRINCIPAL_INVALID', 'A principal needs a subject that is not empty.')
  if (typeof init.issuer !== 'string' || init.issuer === '')
    throw new ConfigurationError('ERR_PRINCIPAL_INVALID', 'A principal needs an issuer that is not empty.')
  const expiresAtMs = init.expiresAt === undefined ? never : init.expiresAt.getTime()
  if (Number.isNaN(expiresAtMs)) throw new ConfigurationError('ERR_PRINCIPAL_INVALID', 'The expiry of a principal must be a valid date.')
  return new VouchedPrincipal(init, noFactors, expiresAtMs)
}

/** Tells what was vouched for, by any copy of this package, from every look-alike, clone and spread. */
export function isPrincipal(value: unknown): value is Principal {
  return typeof value === 'object' && value !== null && copies.some((made) => made(value))
}

/**
 * One principal out of several proven together: the first gives subject, claims and the only scopes; the others become
 * its `factors`, whole, with their own scopes. Scopes are never united, for that would lend a service's rights to its
 * caller. It expires with the earliest and is revoked with any.
 */
export function withFactors(first: Principal, others: readonly Principal[]): Principal {
  if (others.length === 0) return first
  const all = [first, ...others]
  return new VouchedPrincipal(
    {
      issuer: first.issuer,
      subject: first.subject,
      scopes: first.scopes,
      claims: first.claims,
      ...(first.authenticatedAt && { authenticatedAt: first.authenticatedAt }),
      ...(first.confirmation && { confirmation: first.confirmation }),
      ...(first.actor && { actor: first.actor }),
      revocations: all.flatMap((principal) => principal.revocations),
    },
    Object.freeze([...first.factors, ...others]),
    Math.min(...all.map((principal) => principal.expiresAtMs)),
  )
}

/**
 * A set of scopes that does not change, to be shared by many principals: `vouchForPrincipal` takes it as it is instead
 * of copying. For mechanisms whose scopes come from configuration.
 */
export function scopesOf(scopes: Iterable<string>): ReadonlySet<string> {
  return scopeSet(scopes)
}

/** Whether two principals are the same party: the same issuer and the same subject. */
export function sameSubject(a: Principal, b: Principal): boolean {
  return a.issuer === b.issuer && a.subject === b.subject
}

function scopeSet(scopes: Iterable<string>): ReadonlySet<string> {
  if (scopes instanceof ScopeSet) return scopes
  const set = new ScopeSet(scopes)
  frozenScopes.add(set)
  return Object.freeze(set)
}

// Claims are mostly flat: what has been seen is remembered only once there is something to descend into.
function deepFreeze<T extends object>(value: T, seen?: Set<object>): T {
  Object.freeze(value)
  for (const key in value) {
    const inner: unknown = value[key]
    if (typeof inner !== 'object' || inner === null) continue
    seen ??= new Set<object>([value])
    if (seen.has(inner)) continue
    seen.add(inner)
    deepFreeze(inner, seen)
  }
  return value
}
