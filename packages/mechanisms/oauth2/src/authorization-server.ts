import { checkOptions, requireNumber, requireText, SingleFlight, systemClock, type Clock } from '@portcullis/core'
import { isTlsBundle, type ClientTlsBundle } from '@portcullis/tls'
import * as oauth from 'oauth4webapi'
import { answerError } from './answer-error.ts'
import { Backoff } from './backoff.ts'
import { mistake, outage } from './errors.ts'
import { httpsTransport, type Transport } from './https-transport.ts'

/** The endpoints of an authorization server, as https URLs. */
export interface Endpoints {
  readonly token?: string
  readonly introspection?: string
  readonly revocation?: string
  readonly authorization?: string
  readonly deviceAuthorization?: string
  /** Where its keys are, for signed introspection answers. */
  readonly jwks?: string
}

/** How to reach an authorization server. */
export interface AuthorizationServerOptions {
  /** Its issuer identifier, exactly as its metadata and tokens have it: an https URL. */
  readonly issuer: string
  /** Where its endpoints are. Without this, its metadata are read when they are first needed (RFC 8414, OpenID Connect Discovery). */
  readonly endpoints?: Endpoints
  /** Whom to trust, and a key pair for mutual TLS: `await tlsBundle({ side: 'client', … })`. Default: the public authorities. */
  readonly tls?: ClientTlsBundle
  /** Until the connection is secure, in milliseconds. Default: 15,000 (O-18). */
  readonly connectTimeoutMs?: number
  /** Until an answer has arrived whole, in milliseconds. Default: 30,000 (O-18). */
  readonly timeoutMs?: number
  /** Header fields for every call, such as those that a gateway in front of it asks for. */
  readonly headers?: Readonly<Record<string, string>>
  readonly clock?: Clock
  /** A number from 0 to 1, for the spread of delays; for tests. */
  readonly random?: () => number
}

const names = {
  token: 'token_endpoint',
  introspection: 'introspection_endpoint',
  revocation: 'revocation_endpoint',
  authorization: 'authorization_endpoint',
  deviceAuthorization: 'device_authorization_endpoint',
  jwks: 'jwks_uri',
} as const satisfies Record<keyof Endpoints, keyof oauth.AuthorizationServer>

// Endpoints move seldom; an hour later a move is known.
const refreshMetadataAfterMs = 3_600_000
const ownFields: ReadonlySet<string> = new Set(['authorization', 'content-type', 'content-length', 'accept', 'host', 'dpop'])

// Under Symbol.for, so that two copies of this package in one process know each other's.
const brand = Symbol.for('portcullis.oauth2.server')

/** An authorization server as this package calls it. Made by {@link authorizationServer}; shared by sources and authenticators. */
export class AuthorizationServer {
  readonly issuer: string
  /** @internal */
  readonly clock: Clock
  /** @internal */
  readonly random: () => number
  /** @internal */
  readonly transport: Transport
  /** @internal */
  readonly headers: Readonly<Record<string, string>>
  readonly #options: AuthorizationServerOptions
  readonly #fixed: oauth.AuthorizationServer | undefined
  readonly #flight = new SingleFlight<'metadata', oauth.AuthorizationServer>()
  readonly #backoff: Backoff
  #found: { readonly metadata: oauth.AuthorizationServer; readonly refreshAtMs: number } | undefined
  #failure: Error | undefined

  /** @internal Use {@link authorizationServer}. */
  constructor(options: AuthorizationServerOptions) {
    checkOptions<AuthorizationServerOptions>('authorizationServer', options, {
      issuer: true,
      endpoints: true,
      tls: true,
      connectTimeoutMs: true,
      timeoutMs: true,
      headers: true,
      clock: true,
      random: true,
    })
    const { issuer, endpoints, tls, headers = {}, clock = systemClock, random = Math.random } = options
    this.#options = options
    this.issuer = requireHttps('authorizationServer issuer', issuer)
    this.clock = clock
    this.random = random
    this.headers = requireHeaders(headers)
    if (Object.hasOwn(options, 'tls') && !(isTlsBundle(tls) && tls.side === 'client'))
      throw mistake('ERR_OPTION_INVALID', 'authorizationServer tls must be a bundle of a client, made by tlsBundle().')
    this.transport = httpsTransport({
      ...(tls !== undefined && { tls }),
      ...(options.connectTimeoutMs !== undefined && {
        connectTimeoutMs: requireNumber('connectTimeoutMs', options.connectTimeoutMs, bounds),
      }),
      ...(options.timeoutMs !== undefined && { timeoutMs: requireNumber('timeoutMs', options.timeoutMs, bounds) }),
    })
    this.#fixed = Object.hasOwn(options, 'endpoints') ? metadataOf(issuer, endpoints) : undefined
    this.#backoff = new Backoff(clock, random)
  }

  get [brand](): true {
    return true
  }

  /** The same server, called with another bundle: another client certificate. */
  withTls(tls: ClientTlsBundle): AuthorizationServer {
    return new AuthorizationServer({ ...this.#options, tls })
  }

  /** @internal Throws `ERR_OAUTH_ENDPOINT_MISSING` at construction where the endpoints are configured and this is not among them. */
  requireEndpoint(where: string, endpoint: keyof Endpoints): void {
    if (this.#fixed !== undefined && this.#fixed[names[endpoint]] === undefined)
      throw mistake('ERR_OAUTH_ENDPOINT_MISSING', `${where} needs endpoints.${endpoint} of the authorization server.`)
  }

  /** @internal What the library calls metadata, with this endpoint in them. */
  async metadata(endpoint: keyof Endpoints, signal?: AbortSignal): Promise<oauth.AuthorizationServer> {
    const metadata = this.#fixed ?? (await this.#discovered(signal))
    if (metadata[names[endpoint]] === undefined)
      throw outage('ERR_OAUTH_METADATA_INVALID', `The metadata of ${this.issuer} have no ${names[endpoint]}.`)
    return metadata
  }

  /** @internal What the library's functions take beside their own options. */
  callOptions(
    signal: AbortSignal | undefined,
    headers: Readonly<Record<string, string>> = {},
  ): oauth.HttpRequestOptions<'POST', URLSearchParams> {
    return {
      [oauth.customFetch]: (url, request) => this.transport(url, request),
      headers: new Headers({ ...this.headers, ...headers }),
      ...(signal !== undefined && { signal }),
    }
  }

  async #discovered(signal: AbortSignal | undefined): Promise<oauth.AuthorizationServer> {
    const found = this.#found
    if (found !== undefined) {
      // The last metadata that were read serve on: an endpoint that moved shows as one that does not answer.
      if (this.clock.now() >= found.refreshAtMs && this.#backoff.waitMs === 0) this.#read(undefined).catch(() => undefined)
      return found.metadata
    }
    if (this.#backoff.waitMs > 0 && this.#failure !== undefined) throw this.#failure
    return this.#read(signal)
  }

  #read(signal: AbortSignal | undefined): Promise<oauth.AuthorizationServer> {
    return this.#flight.run(
      'metadata',
      async (flightSignal) => {
        try {
          const metadata = await this.#discover(flightSignal)
          this.#found = { metadata, refreshAtMs: this.clock.now() + refreshMetadataAfterMs }
          this.#backoff.succeeded()
          return metadata
        } catch (error) {
          if (flightSignal.aborted) throw error
          this.#backoff.failed()
          throw (this.#failure = answerError(this.issuer, error))
        }
      },
      signal,
    )
  }

  async #discover(signal: AbortSignal): Promise<oauth.AuthorizationServer> {
    const issuer = new URL(this.issuer)
    const ask = (algorithm: 'oauth2' | 'oidc'): Promise<Response> =>
      oauth.discoveryRequest(issuer, {
        algorithm,
        [oauth.customFetch]: (url, request) => this.transport(url, request),
        headers: new Headers(this.headers),
        signal,
      })
    let response = await ask('oauth2')
    // Servers that know the other document only say so in several ways.
    if (response.status >= 400 && response.status < 500) response = await ask('oidc')
    const metadata = await oauth.processDiscoveryResponse(issuer, response)
    // The library compares as URLs, so that a slash may differ; RFC 8414 section 3.3 asks for identity.
    if (metadata.issuer !== this.issuer)
      throw outage('ERR_OAUTH_METADATA_INVALID', `The metadata at ${this.issuer} are those of another issuer.`)
    return metadata
  }
}

/**
 * Describes an authorization server, to be given to sources and authenticators. Nothing is fetched before it is needed:
 * a service starts while the server is down.
 *
 * Throws core's `ERR_OPTION_*`. That the metadata found belong to this very issuer is checked (RFC 8414 section 3.3).
 */
export function authorizationServer(options: AuthorizationServerOptions): AuthorizationServer {
  return new AuthorizationServer(options)
}

const bounds = { min: 1, max: 600_000 }

/** Refuses what was not made by {@link authorizationServer}. */
export function requireServer(where: string, server: AuthorizationServer): AuthorizationServer {
  if (typeof server !== 'object' || server === null || !(brand in server))
    throw mistake('ERR_OPTION_INVALID', `${where}: server must be made by authorizationServer().`)
  return server
}

/** Refuses anything but an https URL without user name, password and fragment; returns it as it was written. */
export function requireHttps(where: string, text: string): string {
  requireText(where, text)
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.protocol !== 'https:' || url.username !== '' || url.password !== '' || url.hash !== '')
    throw mistake('ERR_OPTION_INVALID', `${where} must be an https URL without user name, password and fragment.`)
  return text
}

function metadataOf(issuer: string, endpoints: Endpoints | undefined): oauth.AuthorizationServer {
  if (endpoints === undefined) throw mistake('ERR_OPTION_INVALID', 'authorizationServer endpoints is present and undefined.')
  checkOptions<Endpoints>('authorizationServer endpoints', endpoints, {
    token: true,
    introspection: true,
    revocation: true,
    authorization: true,
    deviceAuthorization: true,
    jwks: true,
  })
  const entries = Object.entries(endpoints) as [keyof Endpoints, string][]
  if (entries.length === 0) throw mistake('ERR_OPTION_INVALID', 'authorizationServer endpoints must name at least one.')
  return {
    issuer,
    ...Object.fromEntries(entries.map(([name, url]) => [names[name], requireHttps(`authorizationServer endpoints.${name}`, url)])),
  }
}

function requireHeaders(headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const name of Object.keys(headers)) {
    if (ownFields.has(name.toLowerCase())) throw mistake('ERR_OPTION_INVALID', `authorizationServer headers: "${name}" is not set by hand.`)
  }
  try {
    return Object.freeze(Object.fromEntries(new Headers(headers)))
  } catch {
    throw mistake('ERR_OPTION_INVALID', 'authorizationServer headers hold a name or value that HTTP does not take.')
  }
}
