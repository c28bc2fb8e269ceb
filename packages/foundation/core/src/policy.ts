import { authenticator as mechanism, notMine, type Authenticator, type Offer } from './authenticator.ts'
import { granted, scope, type Authorization, type Authorizer, type Denied } from './authorizer.ts'
import { ConfigurationError } from './errors.ts'
import { requireTexts } from './options.ts'
import { anonymous, type Anonymous, type Principal } from './principal.ts'

type Party = Principal | Anonymous

/** An authenticator where it stands in a policy, with the scopes demanded of its own principal there. */
export interface Leaf {
  readonly authenticator: Authenticator<Party>
  readonly authorize: Authorizer | undefined
}

/** One way to be allowed: every leaf must be proven. The first gives the subject. */
export type Alternative = readonly Leaf[]

/** A composed policy: made by {@link anyOf}, {@link allOf} and {@link withScopes}. `P` is what it proves. */
export interface Composition<P extends Party = Principal> {
  readonly alternatives: readonly Alternative[]
  /** Only for the compiler: the type of principal. */
  readonly proves?: P
}

/** What a guard takes as `authenticate`: one mechanism, or a composition. */
export type Policy<P extends Party = Principal> = Authenticator<P> | Composition<P>

/** What {@link everyone} returns; it stands alone, since in a composition it would turn a bad credential into nobody. */
export interface Everyone {
  readonly everyone: true
}

/**
 * The greatest number of alternatives that a policy may expand to. Each is a line that a reviewer has to hold in
 * mind and that a request may have to walk; `allOf` of three `anyOf`s of four is 64.
 */
export const maxAlternatives = 64

type ProvenBy<X> = X extends Policy<infer P> ? P : never

/**
 * OR. Of policies: allows whom one of them allows; otherwise answers with the best of
 * proven > unavailable > forbid > invalid > missing. Of authorizers: accepts what one of them accepts.
 *
 * OR means OR: a token that one authority has revoked may still satisfy another mechanism of the list. Several issuers
 * of one kind of token are one table of that mechanism, not an `anyOf`.
 */
export function anyOf<const L extends readonly [Policy<Party>, ...Policy<Party>[]]>(...policies: L): Composition<ProvenBy<L[number]>>
export function anyOf(...authorizers: readonly [Authorizer, ...Authorizer[]]): Authorizer
export function anyOf(...parts: readonly (Policy<Party> | Authorizer)[]): Composition<Party> | Authorizer {
  return compose('anyOf', parts, anyAuthorizer, (lists) => lists.flat())
}

/**
 * AND. Of policies: every one must be proven; the first gives subject and scopes, the others become its `factors`.
 * Otherwise answers with the worst of invalid > missing > unavailable > forbid. Of authorizers: all must accept.
 */
export function allOf<const L extends readonly [Policy<Party>, ...Policy<Party>[]]>(...policies: L): Composition<ProvenBy<L[0]>>
export function allOf(...authorizers: readonly [Authorizer, ...Authorizer[]]): Authorizer
export function allOf(...parts: readonly (Policy<Party> | Authorizer)[]): Composition<Party> | Authorizer {
  return compose('allOf', parts, allAuthorizers, (lists) =>
    lists.reduce(
      (product, list) => bounded(product.length * list.length) && product.flatMap((left) => list.map((right) => [...left, ...right])),
    ),
  )
}

/**
 * Demands scopes of the principal that this very policy proves, so that "a JWT with scope a, or Basic with scope b" can
 * be said: `anyOf(withScopes(jwt, ['a']), withScopes(basic, ['b']))`. Takes a list, of which one is enough, or an authorizer.
 */
export function withScopes<P extends Party>(policy: Policy<P>, scopes: readonly [string, ...string[]] | Authorizer): Composition<P> {
  const authorize = typeof scopes === 'function' ? scopes : anyAuthorizer(requireTexts('withScopes', scopes).map(scope))
  return composition(
    alternativesOf('withScopes', policy).map((leaves) =>
      leaves.map((leaf, at) =>
        at > 0
          ? leaf
          : {
              authenticator: leaf.authenticator,
              authorize: leaf.authorize === undefined ? authorize : allAuthorizers([leaf.authorize, authorize]),
            },
      ),
    ),
  )
}

/** For public resources (health, login): judges nothing, whatever is presented, and drops inherited scopes. */
export function everyone(): Everyone {
  return everybody
}
const everybody: Everyone = Object.freeze({ everyone: true })

/** Proves {@link Anonymous} to whom presented nothing at all; a bad, expired or foreign credential never becomes anonymous. */
export function absent(): Authenticator<Anonymous> {
  return nobody
}
const nobody = mechanism<Anonymous>('absent', (request) => (request.credentials.length === 0 ? anonymous : notMine))

/** Tells {@link Everyone} from a policy. */
export function isEveryone(policy: unknown): policy is Everyone {
  return typeof policy === 'object' && policy !== null && (policy as { everyone?: unknown }).everyone === true
}

/** The alternatives of a policy, each a list of leaves without repetition. Throws `ERR_OPTION_INVALID` for what is none. */
export function alternativesOf(where: string, policy: Policy<Party>): readonly Alternative[] {
  if (typeof policy === 'object' && policy !== null) {
    if ('alternatives' in policy && compositions.has(policy)) return policy.alternatives
    if ('authenticate' in policy && typeof policy.authenticate === 'function' && Array.isArray(policy.offers)) return [[leafOf(policy)]]
  }
  if (isEveryone(policy))
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      `${where}: everyone() stands alone; for "nothing presented" in a composition use absent().`,
    )
  throw new ConfigurationError('ERR_OPTION_INVALID', `${where} takes authenticators, and policies made by anyOf, allOf and withScopes.`)
}

/** The schemes on offer, in the order of the policy, each once. */
export function offersOf(alternatives: readonly Alternative[]): readonly Offer[] {
  const offers = new Map<string, Offer>()
  for (const leaf of alternatives.flat())
    for (const offer of leaf.authenticator.offers) offers.set(JSON.stringify([offer.scheme.toLowerCase(), offer.parameters]), offer)
  return Object.freeze([...offers.values()])
}

// One leaf object per authenticator, so that a mechanism that stands in several alternatives is judged once a request.
const leaves = new WeakMap<object, Leaf>()
const compositions = new WeakSet<object>()

function leafOf(authenticator: Authenticator<Party>): Leaf {
  let leaf = leaves.get(authenticator)
  if (leaf === undefined) leaves.set(authenticator, (leaf = { authenticator, authorize: undefined }))
  return leaf
}

function compose(
  where: 'anyOf' | 'allOf',
  parts: readonly (Policy<Party> | Authorizer)[],
  authorizers: (list: readonly Authorizer[]) => Authorizer,
  combine: (lists: readonly (readonly Alternative[])[]) => readonly Alternative[],
): Composition<Party> | Authorizer {
  if (parts.length === 0) throw new ConfigurationError('ERR_POLICY_EMPTY', `${where}() of nothing is no policy.`)
  if (parts.every((part) => typeof part === 'function')) return authorizers(parts)
  return composition(combine(parts.map((part) => alternativesOf(where, part as Policy<Party>))))
}

function composition<P extends Party>(alternatives: readonly Alternative[]): Composition<P> {
  bounded(alternatives.length)
  const unique = new Map<string, Alternative>()
  const numbers = new Map<Leaf, number>()
  for (const alternative of alternatives) {
    const distinct = [...new Set(alternative)]
    for (const leaf of distinct) if (!numbers.has(leaf)) numbers.set(leaf, numbers.size)
    const key = distinct.map((leaf) => numbers.get(leaf)).join('&')
    if (!unique.has(key)) unique.set(key, Object.freeze(distinct))
  }
  const made = Object.freeze({ alternatives: Object.freeze([...unique.values()]) })
  compositions.add(made)
  return made
}

function bounded(count: number): true {
  if (count > maxAlternatives)
    throw new ConfigurationError(
      'ERR_POLICY_TOO_LARGE',
      `The policy expands to ${count} alternatives; ${maxAlternatives} are allowed. Several issuers are one table of one mechanism.`,
    )
  return true
}

// Authorizers: the first that grants ends an anyOf. Of refusals, a step-up is told before a missing scope, and that
// before any other: the peer can do most about it; the same order whatever the order of writing.
const weights: Readonly<Record<string, number>> = { ERR_STEP_UP_REQUIRED: 2, ERR_SCOPE_INSUFFICIENT: 1 }

function strongest(denials: readonly Denied[]): Denied {
  const first = denials.toSorted((a, b) => (weights[b.code] ?? 0) - (weights[a.code] ?? 0))[0] as Denied
  const scopes = denials.filter((denied) => denied.code === first.code).flatMap((denied) => denied.advice?.scopes ?? [])
  return {
    ...first,
    advice: scopes.length > 0 ? { ...first.advice, scopes: [...new Set(scopes)] } : first.advice,
    leaf: denials.map((denied) => denied.leaf).join(', '),
  }
}

function anyAuthorizer(list: readonly Authorizer[]): Authorizer {
  const [only] = list
  if (list.length === 1 && only !== undefined) return only
  return (principal, action) =>
    walk(
      list,
      (authorize) => authorize(principal, action),
      (said) => said.outcome === 'granted',
      (denials) => strongest(denials),
    )
}

function allAuthorizers(list: readonly Authorizer[]): Authorizer {
  const [only] = list
  if (list.length === 1 && only !== undefined) return only
  return (principal, action) =>
    walk(
      list,
      (authorize) => authorize(principal, action),
      (said) => said.outcome !== 'granted',
      () => granted,
    )
}

/** Asks one after the other, in the same tick as long as no answer is a promise, until one ends it. */
function walk(
  list: readonly Authorizer[],
  ask: (authorize: Authorizer) => Authorization | Promise<Authorization>,
  ends: (said: Authorization) => boolean,
  otherwise: (denials: readonly Denied[]) => Authorization,
): Authorization | Promise<Authorization> {
  const denials: Denied[] = []
  const from = (start: number): Authorization | Promise<Authorization> => {
    for (let at = start; at < list.length; at++) {
      const said = ask(list[at] as Authorizer)
      if (said instanceof Promise) return said.then((answer) => (isLast(answer) ? answer : from(at + 1)))
      if (isLast(said)) return said
    }
    return otherwise(denials)
  }
  // What is no answer at all ends it too, and reaches the guard, which knows it for a fault.
  const isLast = (said: Authorization): boolean => {
    if (!isAuthorization(said) || ends(said)) return true
    if (said.outcome !== 'granted') denials.push(said)
    return false
  }
  return from(0)
}

/** Tells an authorizer's answer from everything else that a faulty one may return. */
export function isAuthorization(said: unknown): said is Authorization {
  if (typeof said !== 'object' || said === null) return false
  const { outcome, code } = said as { outcome?: unknown; code?: unknown }
  return outcome === 'granted' || ((outcome === 'forbid' || outcome === 'stepUp') && typeof code === 'string')
}
