import {
  cached,
  checkOptions,
  forTargets,
  originOf,
  requireNumber,
  UnavailableError,
  type CredentialSource,
  type SourceRequest,
  type Supplied,
} from '@portcullis/core'
import type { ClientTlsBundle } from '@portcullis/tls'
import { requireServer, type AuthorizationServer } from './authorization-server.ts'
import { Backoff } from './backoff.ts'
import { requireClient, type ClientAuthentication } from './client-authentication.ts'
import { mistake } from './errors.ts'
import { formOf, wantedByOrigin, type Parameters, type TokenTargets, type Wanted } from './token-parameters.ts'
import { requestToken, type Prover, type TokenAnswer } from './token-request.ts'

/** What every grant takes. */
export interface GrantOptions {
  readonly server: AuthorizationServer
  readonly targets: TokenTargets
  /** Asked for every target that does not say otherwise: a list, or a text with spaces. */
  readonly scopes?: string | readonly [string, ...string[]]
  /** Additional parameters of every token request (O-11). */
  readonly parameters?: Parameters
  /** The life of a token whose answer does not say it, in seconds. Default: 3,600 (O-9). */
  readonly defaultLifetimeSeconds?: number
  /** How much earlier than the server says a token counts as expired, in seconds. Default: 0 (O-10). */
  readonly clockSkewSeconds?: number
  /** How long before its expiry a token is fetched anew in the background, in milliseconds. Default: 30,000, at most a fifth of its life. */
  readonly refreshAheadMs?: number
}

/** What a source tells its subscribers. */
export type TokenEvent =
  /** A new token is in use. */
  | { readonly type: 'issued'; readonly origin: string; readonly supplied: Supplied; readonly scope: string | undefined }
  /** No token could be had; the last one, if there is one, serves until it expires. */
  | { readonly type: 'failed'; readonly origin: string; readonly error: unknown; readonly retryAfterMs: number }

/** How a source's tokens are bound to their holder. */
export interface TokenBinding {
  readonly prover?: Prover
  /** Whose certificate the tokens are bound to. */
  readonly tls?: ClientTlsBundle
}

/** @internal Makes the same source with tokens that are bound. */
export const bind: unique symbol = Symbol.for('portcullis.oauth2.bind') as never

/**
 * A source of access tokens: one token a target, shared by all callers. Concurrent callers of a cold source make one
 * request; ahead of expiry it is renewed in the background with a random spread; while the server is down the last token
 * serves until it expires, and the server is left alone for a second, doubling to a minute.
 */
export interface TokenSource {
  (request: SourceRequest): Supplied | Promise<Supplied>
  /** Calls `listener` for each new token and each failure; returns how to stop. What it throws is dropped. */
  subscribe(listener: (event: TokenEvent) => void): () => void
  /** @internal */
  readonly [bind]: (binding: TokenBinding) => TokenSource
}

/** What one request of a grant does otherwise than its source. */
export interface Instead {
  readonly server?: AuthorizationServer
  readonly client?: ClientAuthentication
  /** What is asked for, made of what the target is to have. */
  readonly wanted?: (ofTarget: Wanted) => Wanted
  /** Goes on though nobody waits any more: an answer that is lost takes a rotated refresh token with it. */
  readonly toTheEnd?: boolean
}

/** Asks the token endpoint for one target. */
export type Ask = (grantType: string, own: Readonly<Record<string, string | undefined>>, instead?: Instead) => Promise<TokenAnswer>

/** How one grant gets a token; `origin` tells targets apart where it keeps something for each. */
export type Grant = (
  ask: Ask,
  request: { readonly origin: string; readonly isReplacement: boolean; readonly signal: AbortSignal | undefined },
) => Promise<TokenAnswer>

const grantOptionKeys = {
  server: true,
  targets: true,
  scopes: true,
  parameters: true,
  defaultLifetimeSeconds: true,
  clockSkewSeconds: true,
  refreshAheadMs: true,
} as const

const longestSeconds = 366 * 86_400

/** Makes the source of a grant. */
export function tokenSource(where: string, options: GrantOptions, client: ClientAuthentication | undefined, grant: Grant): TokenSource {
  const { scopes, parameters, defaultLifetimeSeconds = 3_600, clockSkewSeconds = 0, refreshAheadMs } = options
  const server = requireServer(where, options.server)
  server.requireEndpoint(where, 'token')
  const wanted = wantedByOrigin(where, options.targets, {
    ...(scopes !== undefined && { scopes }),
    ...(parameters !== undefined && { parameters }),
  })
  return new Engine({
    where,
    server,
    client: client === undefined ? undefined : requireClient(where, client),
    grant,
    wanted,
    defaultLifetimeSeconds: requireNumber(`${where} defaultLifetimeSeconds`, defaultLifetimeSeconds, { min: 1, max: longestSeconds }),
    clockSkewSeconds: requireNumber(`${where} clockSkewSeconds`, clockSkewSeconds, { min: 0, max: 300 }),
    refreshAheadMs,
    binding: {},
  }).source()
}

interface Settings {
  readonly where: string
  readonly server: AuthorizationServer
  readonly client: ClientAuthentication | undefined
  readonly grant: Grant
  readonly wanted: ReadonlyMap<string, Wanted>
  readonly defaultLifetimeSeconds: number
  readonly clockSkewSeconds: number
  readonly refreshAheadMs: number | undefined
  readonly binding: TokenBinding
}

class Engine {
  readonly #settings: Settings
  readonly #server: AuthorizationServer
  readonly #listeners = new Set<(event: TokenEvent) => void>()
  readonly #outages = new Map<string, { readonly backoff: Backoff; error?: unknown }>()
  readonly #replacements = new Map<string, Backoff>()

  constructor(settings: Settings) {
    this.#settings = settings
    const { tls } = settings.binding
    this.#server = tls === undefined ? settings.server : settings.server.withTls(tls)
  }

  source(): TokenSource {
    const { where, wanted, refreshAheadMs } = this.#settings
    const check = forTargets(where, [...wanted.keys()])
    const { clock, random } = this.#server
    const remember = (): CredentialSource =>
      cached((request) => this.#fetch(request), { clock, random, ...(refreshAheadMs !== undefined && { refreshAheadMs }) })
    let kept = remember()
    // Tokens of a certificate that has left are worth nothing.
    this.#settings.binding.tls?.subscribe(({ type }) => {
      if (type === 'reloaded') kept = remember()
    })
    const supply: CredentialSource = (request) => {
      const { target } = request
      // In its one spelling it needs no parsing.
      if (!wanted.has(target.origin) || !target.secure) check(request)
      return kept(request)
    }
    return Object.assign(supply, {
      subscribe: (listener: (event: TokenEvent) => void) => {
        this.#listeners.add(listener)
        return () => void this.#listeners.delete(listener)
      },
      [bind]: (binding: TokenBinding): TokenSource =>
        new Engine({ ...this.#settings, binding: { ...this.#settings.binding, ...binding } }).source(),
    })
  }

  async #fetch({ target, refused, signal }: SourceRequest): Promise<Supplied> {
    const origin = originOf(target.origin)
    const wanted = this.#settings.wanted.get(origin) as Wanted // looked up by `check` before
    const outages = this.#outagesOf(origin)
    const waitMs = outages.backoff.waitMs
    if (waitMs > 0) throw again(outages.error, waitMs)
    const isReplacement = refused !== undefined
    this.#limitReplacements(origin, isReplacement)
    try {
      const answer = await this.#settings.grant(this.#ask(wanted, signal), { origin, isReplacement, signal })
      outages.backoff.succeeded()
      const supplied = this.#supplied(answer)
      this.#tell({ type: 'issued', origin, supplied, scope: answer.scope ?? wanted.scope })
      return supplied
    } catch (error) {
      // That nobody wants the answer any more says nothing about the server.
      if (signal?.aborted) throw error
      outages.backoff.failed()
      outages.error = error
      this.#tell({ type: 'failed', origin, error, retryAfterMs: outages.backoff.waitMs })
      throw error
    }
  }

  #ask(wanted: Wanted, signal: AbortSignal | undefined): Ask {
    const { client, binding } = this.#settings
    return (grantType, own, instead = {}) => {
      return requestToken({
        server: instead.server ?? this.#server,
        client: instead.client ?? client,
        grantType,
        parameters: formOf(instead.wanted?.(wanted) ?? wanted, own),
        prover: binding.prover,
        mutualTls: binding.tls !== undefined,
        signal: instead.toTheEnd === true ? undefined : signal,
      })
    }
  }

  #supplied({ accessToken, lifetimeSeconds }: TokenAnswer): Supplied {
    const { defaultLifetimeSeconds, clockSkewSeconds } = this.#settings
    // A token that has no life at all is used for a second, so that the server is not asked with every request.
    const seconds = Math.max(1, Math.min(lifetimeSeconds ?? defaultLifetimeSeconds, longestSeconds) - clockSkewSeconds)
    return {
      credential: { kind: 'bearer', carrier: 'authorization', token: accessToken },
      expiresAt: new Date(this.#server.clock.now() + seconds * 1000),
    }
  }

  #outagesOf(origin: string): { readonly backoff: Backoff; error?: unknown } {
    let outages = this.#outages.get(origin)
    if (outages === undefined) this.#outages.set(origin, (outages = { backoff: new Backoff(this.#server.clock, this.#server.random) }))
    return outages
  }

  /** A peer that refuses every token must not make the server issue one with each of its refusals. */
  #limitReplacements(origin: string, isReplacement: boolean): void {
    const before = this.#replacements.get(origin)
    if (!isReplacement) {
      before?.succeeded()
      return
    }
    if (before !== undefined && before.waitMs > 0)
      throw new UnavailableError('ERR_SOURCE_EXHAUSTED', {
        message: `${origin} refused a token that was issued in place of one that it refused.`,
        retryAfterMs: before.waitMs,
      })
    const backoff = before ?? new Backoff(this.#server.clock, this.#server.random)
    this.#replacements.set(origin, backoff)
    backoff.failed()
  }

  #tell(event: TokenEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch {
        // Who listens cannot change what happened.
      }
    }
  }
}

/** The failure that is still waited out, with the time that is left of it. */
function again(error: unknown, retryAfterMs: number): UnavailableError {
  const { code = 'ERR_OAUTH_UNREACHABLE', message = 'The authorization server failed.' } = (error ?? {}) as {
    code?: string
    message?: string
  }
  return new UnavailableError(code, { message, cause: error, retryAfterMs })
}

/** Checks the options of a grant: those of its own beside those of every grant. */
export function checkGrantOptions<T extends GrantOptions>(
  where: string,
  options: T,
  own: { readonly [K in Exclude<keyof Required<T>, keyof GrantOptions>]: true },
): void {
  checkOptions<GrantOptions>(where, options, { ...grantOptionKeys, ...own })
}

/** The one target of a source whose first token somebody obtained, or logs in for. */
export function onlyOrigin(where: string, targets: TokenTargets): string {
  const [origin, ...others] = wantedByOrigin(where, targets, {}).keys()
  if (origin === undefined || others.length > 0) throw mistake('ERR_OPTION_INVALID', `${where} has one target.`)
  return origin
}
