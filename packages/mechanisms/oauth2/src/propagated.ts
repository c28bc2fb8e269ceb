import {
  AuthenticationError,
  BoundedCache,
  checkOptions,
  ConfigurationError,
  forTargets,
  inboundCredentials,
  isPrincipal,
  originOf,
  requireTexts,
  SingleFlight,
  systemClock,
  UnavailableError,
  type Clock,
  type Credential,
  type CoreErrorCode,
  type DelegatedSource,
  type InboundCredentials,
  type Principal,
  type Secret,
  type Supplied,
} from '@portcullis/core'
import { digest } from '@portcullis/crypto'
import { requireServer, type AuthorizationServer } from './authorization-server.ts'
import { requireClient, type ClientAuthentication } from './client-authentication.ts'
import { mistake, outage, type OAuth2ErrorCode } from './errors.ts'
import { Reachability } from './reachability.ts'
import { exchange, partyReader, type Party, type PartyToken } from './token-exchange.ts'
import { formOf, wantedByOrigin, type TokenTarget, type Wanted } from './token-parameters.ts'
import { requestToken } from './token-request.ts'
import type { Ask } from './token-source.ts'

/** A target that takes tokens of the caller. */
export interface TokenPropagation extends Omit<TokenTarget, 'audience'> {
  /** The names by which the target is known in `aud`; also asked for when a token is exchanged. */
  readonly audience: string | readonly [string, ...string[]]
  readonly accepts?: 'token'
}

/** A target that takes the caller's name and password, and so can do everywhere what the caller can. */
export interface PasswordPropagation {
  readonly accepts: 'basic'
}

/** How tokens that do not name a target are exchanged for ones that do (RFC 8693). */
export interface PropagationExchange {
  readonly server: AuthorizationServer
  readonly client: ClientAuthentication
  /** This service's own token, where the server wants to know who acts. */
  readonly actor?: PartyToken
}

/** How {@link propagated} is set up. */
export interface PropagatedOptions {
  /** Who may see callers' credentials, by origin. All others are refused. */
  readonly to: Readonly<Record<string, TokenPropagation | PasswordPropagation>>
  /** Without it, only tokens go on that name the target already. */
  readonly exchange?: PropagationExchange
  readonly clock?: Clock
}

/** A {@link DelegatedSource} that ends the keeping of callers' credentials when it is closed. */
export interface PropagatedSource extends Disposable {
  (...parameters: Parameters<DelegatedSource>): ReturnType<DelegatedSource>
  close(): void
}

// A token and its digest take about 2 KB: 20 MB when full. A caller whose token was evicted costs one exchange.
const maxTokens = 10_000
// Different tokens that are exchanged at a time.
const maxInFlight = 1_024
// A token that is about to expire would expire on its way.
const refreshAheadMs = 10_000
const defaultLifetimeSeconds = 300
const longestSeconds = 86_400

/**
 * A source that calls on behalf of this service's own caller, who is named with each call (`onBehalfOf`), with that
 * caller's credential and never with the service's own.
 *
 * A bearer token goes on as it is only where its `aud` names the target and it is bound to no key; otherwise it is
 * exchanged. A password goes to a target that is set up for it, and nowhere else. Exchanged tokens are kept by issuer,
 * subject, inbound token, target and scopes until shortly before they, or the caller, expire.
 *
 * It refuses a missing or anonymous caller (`ERR_CALLER_MISSING`), one that has expired or was revoked
 * (`ERR_PRINCIPAL_EXPIRED`, `ERR_PRINCIPAL_REVOKED`), one whose credential cannot go on (`ERR_PROPAGATION_CREDENTIAL`),
 * other targets, insecure channels (`ERR_SOURCE_TARGET`, `ERR_SOURCE_INSECURE`) and connections that callers share
 * (`ERR_PROPAGATION_SHARED`). Only callers are known that a guard allowed while this source existed.
 */
export function propagated(options: PropagatedOptions): PropagatedSource {
  checkOptions<PropagatedOptions>('propagated', options, { to: true, exchange: true, clock: true })
  const source = new Propagation(options)
  const close = (): void => source.close()
  return Object.assign((request: Parameters<DelegatedSource>[0]) => source.supply(request), { close, [Symbol.dispose]: close })
}

interface Recipient {
  readonly accepts: 'token' | 'basic'
  readonly audience: ReadonlySet<string>
  readonly wanted: Wanted
}

interface Exchanged {
  readonly supplied: Supplied
  /** Whether it came in place of one that the target refused: then there is no point in another. */
  readonly isReplacement: boolean
}

type TokenCredential = Extract<Credential, { readonly kind: 'bearer' | 'dpop' }>

class Propagation {
  readonly #recipients: ReadonlyMap<string, Recipient>
  readonly #check: ReturnType<typeof forTargets>
  readonly #exchange: PropagationExchange | undefined
  readonly #actor: (() => Promise<Party>) | undefined
  readonly #clock: Clock
  readonly #reachability: Reachability
  readonly #inbound: InboundCredentials
  readonly #tokens: BoundedCache<string, Exchanged>
  readonly #flights = new SingleFlight<string, Exchanged>()

  constructor({ to, exchange: exchanging, clock }: PropagatedOptions) {
    if (typeof to !== 'object' || to === null)
      throw mistake('ERR_OPTION_MISSING', 'propagated needs the targets that it passes credentials on to.')
    this.#recipients = new Map(Object.entries(to).map(([origin, target]) => [originOf(origin), recipient(origin, target)]))
    this.#check = forTargets('propagated', [...this.#recipients.keys()])
    if (exchanging !== undefined) {
      checkOptions<PropagationExchange>('propagated exchange', exchanging, { server: true, client: true, actor: true })
      requireServer('propagated exchange', exchanging.server).requireEndpoint('propagated exchange', 'token')
      requireClient('propagated exchange', exchanging.client)
    }
    this.#exchange = exchanging
    this.#actor = exchanging?.actor === undefined ? undefined : partyReader('propagated exchange actor', exchanging.actor)
    this.#clock = clock ?? exchanging?.server.clock ?? systemClock
    this.#reachability = new Reachability(this.#clock)
    this.#tokens = new BoundedCache({ maxEntries: maxTokens, clock: this.#clock })
    // Last, so that nothing is kept where the construction fails.
    this.#inbound = inboundCredentials()
  }

  close(): void {
    this.#inbound.close()
    this.#tokens.clear()
  }

  supply(request: Parameters<DelegatedSource>[0]): Supplied | Promise<Supplied> {
    this.#check(request)
    const { target, onBehalfOf: caller } = request
    if (target.shared === true)
      throw new ConfigurationError<OAuth2ErrorCode>(
        'ERR_PROPAGATION_SHARED',
        `The connection to ${target.origin} is shared: no caller’s credential goes over it.`,
      )
    const origin = originOf(target.origin)
    const to = this.#recipients.get(origin) as Recipient // looked up by the check before
    const credential = this.#credentialOf(caller, origin)
    if (to.accepts === 'basic') return passOn(caller, credential, request.refused, credential.kind === 'basic', origin)
    if (credential.kind !== 'bearer' && credential.kind !== 'dpop')
      throw unfit(origin, `a credential of kind "${credential.kind}" goes to no target that takes tokens`)
    if (isMeantFor(caller, to.audience) && credential.kind === 'bearer' && caller.confirmation === undefined)
      return passOn(caller, credential, request.refused, true, origin)
    return this.#exchanged(origin, to, caller, credential, request)
  }

  #credentialOf(caller: Principal, origin: string): Credential {
    if (!isPrincipal(caller))
      throw new ConfigurationError<CoreErrorCode>(
        'ERR_CALLER_MISSING',
        `A call to ${origin} on behalf of a caller needs that caller (onBehalfOf).`,
      )
    if (caller.expiresAtMs <= this.#clock.now())
      throw new AuthenticationError<CoreErrorCode>('ERR_PRINCIPAL_EXPIRED', `The caller on whose behalf ${origin} is called has expired.`)
    if (caller.revoked)
      throw new AuthenticationError<CoreErrorCode>('ERR_PRINCIPAL_REVOKED', `The caller on whose behalf ${origin} is called was revoked.`)
    const credential = this.#inbound.of(caller)
    if (credential === undefined) throw unfit(origin, 'none is known of this caller')
    return credential
  }

  async #exchanged(
    origin: string,
    to: Recipient,
    caller: Principal,
    { token }: TokenCredential,
    { refused, signal }: Parameters<DelegatedSource>[0],
  ): Promise<Supplied> {
    const exchanging = this.#exchange
    if (exchanging === undefined) throw unfit(origin, 'the token does not name it, and there is nobody to exchange it')
    // All that the answer depends on (the pairs hold audience and resource), and nothing that could be read back out of memory.
    const key = digest('sha256', JSON.stringify([caller.issuer, caller.subject, token.reveal(), origin, to.wanted]), 'base64url')
    const known = this.#tokens.get(key)
    const isRefused = known !== undefined && refused !== undefined && holds(known.supplied.credential, refused)
    if (known !== undefined && !isRefused) return known.supplied
    if (known?.isReplacement === true)
      throw new UnavailableError<CoreErrorCode>(
        'ERR_SOURCE_EXHAUSTED',
        `${origin} refused the token that came in place of one that it had refused.`,
      )
    this.#reachability.check()
    if (this.#flights.size >= maxInFlight)
      throw new UnavailableError<OAuth2ErrorCode>('ERR_PROPAGATION_OVERLOADED', {
        message: `${maxInFlight} tokens wait to be exchanged.`,
        reason: 'overload',
        retryAfterMs: 1_000,
      })
    const fetched = await this.#flights.run(
      key,
      (flightSignal) => this.#fetch(key, exchanging, to, caller, token, isRefused, flightSignal),
      signal,
    )
    return fetched.supplied
  }

  async #fetch(
    key: string,
    { server, client }: PropagationExchange,
    { wanted }: Recipient,
    caller: Principal,
    token: Secret,
    isReplacement: boolean,
    signal: AbortSignal,
  ): Promise<Exchanged> {
    const ask: Ask = (grantType, own) => requestToken({ server, client, grantType, parameters: formOf(wanted, own), signal })
    const subject = { token: token.reveal(), type: 'urn:ietf:params:oauth:token-type:access_token' }
    const answer = await this.#reachability.watch(exchange(ask, subject, await this.#actor?.(), 'access_token'))
    // A server that hands the same token back has exchanged nothing, and the target would get one that was never for it.
    if (answer.accessToken.equals(token))
      throw outage('ERR_OAUTH_TOKEN_TYPE', `${server.issuer} gave the inbound token back in exchange for itself.`)
    const lifetimeMs = Math.min(answer.lifetimeSeconds ?? defaultLifetimeSeconds, longestSeconds) * 1000
    const untilMs = Math.min(this.#clock.now() + lifetimeMs, caller.expiresAtMs)
    const made: Exchanged = {
      supplied: { credential: { kind: 'bearer', carrier: 'authorization', token: answer.accessToken }, expiresAt: new Date(untilMs) },
      isReplacement,
    }
    this.#tokens.set(key, made, untilMs - Math.min(refreshAheadMs, lifetimeMs / 5))
    return made
  }
}

function recipient(origin: string, target: TokenPropagation | PasswordPropagation): Recipient {
  const where = `propagated to["${origin}"]`
  if (typeof target !== 'object' || target === null) throw mistake('ERR_OPTION_INVALID', `${where} must say what the target takes.`)
  if (target.accepts === 'basic') {
    checkOptions<PasswordPropagation>(where, target, { accepts: true })
    return { accepts: 'basic', audience: new Set(), wanted: { scope: undefined, pairs: [] } }
  }
  const { accepts, ...wanted } = target
  if (accepts !== undefined && accepts !== 'token') throw mistake('ERR_OPTION_INVALID', `${where} accepts is "token" or "basic".`)
  const audience = new Set(requireTexts(`${where} audience`, wanted.audience))
  const [compiled] = wantedByOrigin('propagated', { [origin]: wanted }, {}).values()
  return { accepts: 'token', audience, wanted: compiled ?? { scope: undefined, pairs: [] } }
}

function isMeantFor({ claims }: Principal, audience: ReadonlySet<string>): boolean {
  const named = claims['aud']
  return typeof named === 'string'
    ? audience.has(named)
    : Array.isArray(named) && named.some((one) => typeof one === 'string' && audience.has(one))
}

/** The caller's own credential, as it came; it goes out where such credentials stand. */
function passOn(caller: Principal, credential: Credential, refused: Credential | undefined, fits: boolean, origin: string): Supplied {
  if (!fits) throw unfit(origin, `it takes names and passwords, and the caller came with a credential of kind "${credential.kind}"`)
  if (refused !== undefined)
    throw new UnavailableError<CoreErrorCode>(
      'ERR_SOURCE_EXHAUSTED',
      `${origin} refused the caller’s own credential, and there is no other.`,
    )
  const expiresAt = caller.expiresAt
  return { credential: { ...credential, carrier: 'authorization' }, ...(expiresAt !== undefined && { expiresAt }) }
}

function holds(ours: Credential, refused: Credential): boolean {
  return ours.kind === 'bearer' && refused.kind === 'bearer' && ours.token.equals(refused.token)
}

function unfit(origin: string, why: string): ConfigurationError<OAuth2ErrorCode> {
  return new ConfigurationError('ERR_PROPAGATION_CREDENTIAL', `The caller’s credential does not go to ${origin}: ${why}.`)
}
