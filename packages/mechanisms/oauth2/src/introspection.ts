import {
  authenticator,
  BoundedCache,
  checkOptions,
  credentialOf,
  isPrincipal,
  notMine,
  refused,
  requireNumber,
  requireText,
  Revocation,
  SingleFlight,
  UnavailableError,
  type AccessRequest,
  type Authenticator,
  type NotMine,
  type Principal,
  type Refused,
} from '@portcullis/core'
import { digest } from '@portcullis/crypto'
import { claimsJudge, type ClaimsJudge, type ClaimsJudgeOptions, type JwtClaims } from '@portcullis/jwt'
import { withoutExpiry } from '@portcullis/jwt/danger'
import { requireServer, type AuthorizationServer } from './authorization-server.ts'
import { withoutIssuerClaim } from './danger.ts'
import { mistake, type OAuth2ErrorCode } from './errors.ts'
import { introspectionCall, type IntrospectionCall, type IntrospectionCallOptions } from './introspection-call.ts'
import { Reachability } from './reachability.ts'
import type { TokenCredential, TokenJudge } from './token-judge.ts'
import { parameterPairs, type Parameters } from './token-parameters.ts'

/** What the answers must say: as for tokens that are verified here, `audience` first. */
type Demands<C extends JwtClaims> = Omit<ClaimsJudgeOptions<C>, 'issuer' | 'expiry' | 'clock'>

/** How {@link introspectionJudge} is set up. */
export interface IntrospectionJudgeOptions<C extends JwtClaims = JwtClaims> extends Demands<C>, IntrospectionCallOptions {
  readonly server: AuthorizationServer
  /** Additional parameters of every call (O-21), or of this request's (F-8). Those of the protocol are not among them. */
  readonly parameters?: Parameters | ((request: AccessRequest) => Parameters)
  /**
   * How long an active answer serves, and how many are kept. Default: 10,000 for 60,000 ms, which is how late a revocation
   * is noticed; never longer than `exp`. `none` asks for every request.
   */
  readonly cache?: { readonly maxEntries?: number; readonly maxAgeMs?: number } | 'none'
  /** When a token ends whose answer has no `exp`, in seconds from the answer. Default: 3,600 (O-23). */
  readonly defaultLifetimeSeconds?: number
  /** `withoutIssuerClaim` of `./danger` takes answers without `iss`. */
  readonly issuerClaim?: typeof withoutIssuerClaim
}

/** How {@link introspection} is set up. */
export interface IntrospectionOptions<C extends JwtClaims = JwtClaims> extends IntrospectionJudgeOptions<C> {
  /** Appears in explanations and audit events. Default: `introspection`. */
  readonly name?: string
  /** The `realm` of the challenge (RFC 6750 section 3). Default: none. */
  readonly realm?: string
  /** Where the metadata of this resource stand, told in the challenge (RFC 9728 section 5.1). */
  readonly resourceMetadata?: string
}

/**
 * The introspection mechanism: takes bearer tokens that only their authorization server can judge, and asks it (RFC 7662).
 *
 * The answer is judged like a token, whatever `active` says: issuer, audience, `exp`, `nbf`, matchers, schema. The
 * principal has all its fields as claims. A token bound to a key is refused as a plain bearer token; one bound to a
 * certificate passes the guard only over a channel with that certificate. While the server does not answer, an answer
 * within its age serves, and every other token is `unavailable`. A token that is found inactive when it is asked for
 * again ends the sessions that rest on it.
 *
 * Refuses with `ERR_INTROSPECTION_INACTIVE`, `ERR_INTROSPECTION_PROOF_MISSING`, and for its claims with the codes of
 * `@portcullis/jwt`. `ERR_INTROSPECTION_OVERLOADED` is overload, everything else that goes wrong an outage.
 */
export function introspection<C extends JwtClaims = JwtClaims>(options: IntrospectionOptions<C>): Authenticator<Principal<C>> {
  const { name = 'introspection', realm, resourceMetadata, ...judging } = options
  const judge = introspectionJudge<C>(judging)
  const parameters = {
    ...(realm !== undefined && { realm: requireText('realm', realm) }),
    ...(resourceMetadata !== undefined && { resource_metadata: requireText('resourceMetadata', resourceMetadata) }),
  }
  return authenticator<Principal<C>>(
    name,
    (request, context) => {
      const credential = credentialOf(request.credentials, 'bearer')
      if (credential === undefined) return notMine
      const verdict = judge(credential, request, context)
      return verdict instanceof Promise ? verdict.then(plainBearer) : plainBearer(verdict)
    },
    [{ scheme: 'Bearer', ...(Object.keys(parameters).length > 0 && { parameters }) }],
  )
}

/** Judges tokens by introspection, for mechanisms that ask more of the request than the token: see {@link introspection}, and `dpopTokens()`. */
export function introspectionJudge<C extends JwtClaims = JwtClaims>(options: IntrospectionJudgeOptions<C>): TokenJudge<C> {
  const judge = new Judge<C>(options)
  return (credential, request, context) => judge.judge(credential, request, context.signal)
}

function plainBearer<P extends Principal>(verdict: P | NotMine | Refused): P | NotMine | Refused {
  return isPrincipal(verdict) && verdict.confirmation?.['jkt'] !== undefined ? refused('ERR_INTROSPECTION_PROOF_MISSING') : verdict
}

// How late a revocation is noticed (O-23 has an hour).
const defaultMaxAgeMs = 60_000
const defaultMaxEntries = 10_000
// A token may become active at any time, so "no" is believed only for a burst of the same (O-29 keeps it for an hour).
const refusalAgeMs = 1_000
// Apart from the active ones, so that junk evicts no good token.
const maxRefusals = 1_000
// Different tokens that are asked for at a time; each waits for at most the time-out of the server.
const maxInFlight = 1_024

interface Entry<C extends JwtClaims> {
  readonly principal: Principal<C>
  readonly freshUntilMs: number
  readonly revocation: Revocation
}

const keys = {
  server: true,
  client: true,
  credentials: true,
  tokenTypeHint: true,
  signedAnswers: true,
  parameters: true,
  cache: true,
  defaultLifetimeSeconds: true,
  issuerClaim: true,
  audience: true,
  claims: true,
  schema: true,
  scopeClaim: true,
  subjectClaim: true,
  clockToleranceSeconds: true,
  maxAgeSeconds: true,
} as const satisfies Record<keyof IntrospectionJudgeOptions, true>

class Judge<C extends JwtClaims> {
  readonly #server: AuthorizationServer
  readonly #call: IntrospectionCall
  readonly #claims: ClaimsJudge<C>
  readonly #parameters: (request: AccessRequest) => readonly (readonly [string, string])[]
  readonly #isFixed: boolean
  readonly #issuerNeeded: boolean
  readonly #lifetimeMs: number
  readonly #maxAgeMs: number
  readonly #active: BoundedCache<string, Entry<C>> | undefined
  readonly #refusals: BoundedCache<string, Refused>
  readonly #flights = new SingleFlight<string, Principal<C> | Refused>()
  // An adapter hands out the same object for the same text on one connection: its answer is found without a digest.
  readonly #reachability: Reachability
  readonly #seen = new WeakMap<TokenCredential, Entry<C>>()

  constructor(options: IntrospectionJudgeOptions<C>) {
    checkOptions<IntrospectionJudgeOptions<C>>('introspection', options, keys)
    const {
      server,
      client,
      credentials,
      tokenTypeHint,
      signedAnswers,
      parameters,
      cache = {},
      defaultLifetimeSeconds = 3_600,
      issuerClaim,
      ...demands
    } = options
    this.#server = requireServer('introspection', server)
    this.#reachability = new Reachability(server.clock)
    server.requireEndpoint('introspection', 'introspection')
    if (tokenTypeHint !== undefined) requireText('introspection tokenTypeHint', tokenTypeHint)
    if (Object.hasOwn(options, 'signedAnswers') && signedAnswers === undefined)
      throw mistake('ERR_OPTION_INVALID', 'introspection signedAnswers is present and undefined.')
    if (Object.hasOwn(options, 'issuerClaim') && issuerClaim !== withoutIssuerClaim)
      throw mistake('ERR_OPTION_INVALID', 'introspection issuerClaim can only be withoutIssuerClaim of @portcullis/oauth2/danger.')
    this.#call = introspectionCall('introspection', server, {
      ...(client !== undefined && { client }),
      ...(credentials !== undefined && { credentials }),
      ...(tokenTypeHint !== undefined && { tokenTypeHint }),
      ...(signedAnswers !== undefined && { signedAnswers }),
    })
    // RFC 7662 leaves `exp` out where it likes; the default lifetime stands in for it.
    this.#claims = claimsJudge<C>({ ...demands, issuer: server.issuer, expiry: withoutExpiry, clock: server.clock })
    this.#isFixed = typeof parameters !== 'function'
    const fixed = typeof parameters === 'function' ? [] : parameterPairs('introspection parameters', parameters)
    this.#parameters =
      typeof parameters === 'function' ? (request) => parameterPairs('introspection parameters', parameters(request)) : () => fixed
    this.#issuerNeeded = issuerClaim === undefined
    this.#lifetimeMs = requireNumber('defaultLifetimeSeconds', defaultLifetimeSeconds, { min: 1, max: 366 * 86_400 }) * 1000
    const { maxEntries = defaultMaxEntries, maxAgeMs = defaultMaxAgeMs } = cache === 'none' ? {} : cache
    if (cache !== 'none')
      checkOptions<{ maxEntries?: number; maxAgeMs?: number }>('introspection cache', cache, { maxEntries: true, maxAgeMs: true })
    this.#maxAgeMs = requireNumber('cache.maxAgeMs', maxAgeMs, { min: 1, max: 86_400_000 })
    const { clock } = server
    this.#active =
      cache === 'none'
        ? undefined
        : new BoundedCache({ maxEntries: requireNumber('cache.maxEntries', maxEntries, { min: 1, max: 1_000_000 }), clock })
    this.#refusals = new BoundedCache({ maxEntries: maxRefusals, clock })
  }

  judge(
    credential: TokenCredential,
    request: AccessRequest,
    signal: AbortSignal,
  ): Principal<C> | Refused | Promise<Principal<C> | Refused> {
    const now = this.#server.clock.now()
    if (this.#isFixed) {
      const seen = this.#seen.get(credential)
      if (seen !== undefined && isFresh(seen, now)) return seen.principal
    }
    const parameters = this.#parameters(request)
    const token = credential.token.reveal()
    // All that the answer depends on, and nothing that could be read back out of memory. No token begins like a list.
    const key = digest('sha256', parameters.length === 0 ? token : JSON.stringify([token, parameters]), 'latin1')
    const entry = this.#active?.get(key)
    if (entry !== undefined && isFresh(entry, now)) {
      if (this.#isFixed) this.#seen.set(credential, entry)
      return entry.principal
    }
    const refusal = this.#active === undefined ? undefined : this.#refusals.get(key)
    if (refusal !== undefined) return refusal
    return this.#ask(key, token, parameters, entry, signal)
  }

  async #ask(
    key: string,
    token: string,
    parameters: readonly (readonly [string, string])[],
    before: Entry<C> | undefined,
    signal: AbortSignal,
  ): Promise<Principal<C> | Refused> {
    this.#reachability.check()
    if (this.#flights.size >= maxInFlight)
      throw new UnavailableError<OAuth2ErrorCode>('ERR_INTROSPECTION_OVERLOADED', {
        message: `${maxInFlight} tokens wait to be introspected.`,
        reason: 'overload',
        retryAfterMs: 1_000,
      })
    return this.#flights.run(
      key,
      async (flightSignal) => {
        const askedAtMs = this.#server.clock.now()
        const answer = await this.#reachability.watch(this.#call(token, parameters, flightSignal))
        return this.#take(key, answer, askedAtMs, before)
      },
      signal,
    )
  }

  async #take(
    key: string,
    answer: JwtClaims & { readonly active: boolean },
    askedAtMs: number,
    before: Entry<C> | undefined,
  ): Promise<Principal<C> | Refused> {
    const { active, ...stated } = answer
    const revocation = before?.revocation ?? new Revocation()
    const acceptedUntilMs = stated.exp === undefined ? askedAtMs + this.#lifetimeMs : Number.POSITIVE_INFINITY
    const claims = stated.iss === undefined && !this.#issuerNeeded ? { ...stated, iss: this.#server.issuer } : stated
    const verdict = active
      ? await this.#claims(claims, { acceptedUntilMs, revocations: [revocation] })
      : refused('ERR_INTROSPECTION_INACTIVE')
    if (!isPrincipal(verdict)) {
      this.#active?.delete(key)
      this.#refusals.set(key, verdict, askedAtMs + refusalAgeMs)
      before?.revocation.revoke('The authorization server no longer vouches for the token.')
      return verdict
    }
    // Kept until it expires, though it serves only while it is fresh: so that a later "no" finds whom to end.
    this.#active?.set(
      key,
      { principal: verdict, revocation, freshUntilMs: Math.min(askedAtMs + this.#maxAgeMs, verdict.expiresAtMs) },
      verdict.expiresAtMs,
    )
    return verdict
  }
}

function isFresh<C extends JwtClaims>(entry: Entry<C>, now: number): boolean {
  return now < entry.freshUntilMs && !entry.revocation.revoked
}
