/**
 * The calling side: operations over HTTP and subscriptions over WebSocket, with credentials from a source. Against
 * endpoints of any make; those of this package can be renewed in band.
 */
import { connect } from 'node:tls'
import {
  AuthenticationError,
  checkOptions,
  ConfigurationError,
  isSecurityError,
  otherCredential,
  requireFunction,
  requireNumber,
  requireText,
  UnavailableError,
  type AnySource,
  type BoundSource,
  type Credential,
  type CredentialSource,
  type Supplied,
} from '@portcullis/core'
import { client as httpClient, type Client as HttpClient } from '@portcullis/http'
import { attachClient, isTlsBundle, secureClientOptions, tlsBundle, type ClientTlsBundle, type ClientTlsOptions } from '@portcullis/tls'
import { createClient, type Client as SocketClient } from 'graphql-ws'
import { WebSocket } from 'ws'
import type { GraphqlErrorCode } from './errors.ts'
import { closeCodeOf, presentInBand, requestError, socketError } from './present.ts'

/** What {@link client} takes. */
export interface ClientOptions {
  /** `https://host:port/graphql`; WebSockets go to the same place. */
  readonly url: string
  /** Whom to trust, and a key pair for mutual TLS: options, or a bundle. Default: the public authorities. */
  readonly tls?: ClientTlsOptions | ClientTlsBundle
  /** What to present. Without it nothing is. */
  readonly credentials?: CredentialSource | BoundSource
  /** The name to ask the server for and to find in its certificate, where it is not the URL's host. */
  readonly serverName?: string
  /** Until the answer to a request, or to a handshake, is there, in milliseconds. Default: 30,000. */
  readonly timeoutMs?: number
  /** The longest message of a subscription, in bytes. Default: 1,048,576. */
  readonly maxMessageBytes?: number
}

/** An operation. */
export interface Operation {
  readonly query: string
  readonly variables?: Readonly<Record<string, unknown>>
  readonly operationName?: string
}

/** What came of an operation. Its types are the caller's statement; nothing is checked. */
export interface Result<Data = Readonly<Record<string, unknown>>> {
  readonly data?: Data | null
  readonly errors?: readonly {
    readonly message: string
    readonly path?: readonly (string | number)[]
    readonly extensions?: Readonly<Record<string, unknown>> & { readonly code?: string }
  }[]
  readonly extensions?: Readonly<Record<string, unknown>>
}

/** A client of one endpoint. */
export interface Client extends Disposable {
  /**
   * Asks over HTTP. Errors of fields are in the result; a request that is refused as a whole rejects with
   * `ERR_GRAPHQL_REFUSED`, `ERR_GRAPHQL_FORBIDDEN` or `ERR_GRAPHQL_UNAVAILABLE`, no answer with a code of
   * `@portcullis/http`.
   */
  execute<Data = Readonly<Record<string, unknown>>>(
    operation: Operation,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Result<Data>>
  /**
   * Subscribes over a WebSocket that all subscriptions share. Before the session ends the credential is renewed in band;
   * if it is refused, the source is asked for another once; after a break it connects again, and what was published
   * meanwhile is lost.
   */
  subscribe<Data = Readonly<Record<string, unknown>>>(operation: Operation): AsyncIterableIterator<Result<Data>>
  /** Ends the subscriptions and idle connections. */
  close(): void
}

// A result is read whole before it is parsed; a larger one is a download.
const maxResultBytes = 64 * 1024 * 1024

/** Makes a client. Throws a `ConfigurationError` for a URL that is not https, and for unknown options. */
export async function client(options: ClientOptions): Promise<Client> {
  checkOptions<ClientOptions>('client', options, {
    url: true,
    tls: true,
    credentials: true,
    serverName: true,
    timeoutMs: true,
    maxMessageBytes: true,
  })
  const text = requireText('client url', options.url)
  if (!URL.canParse(text) || new URL(text).protocol !== 'https:')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'client `url` is an https URL: credentials go over TLS only.')
  const { credentials, serverName, tls = { side: 'client' } } = options
  if (Object.hasOwn(options, 'credentials')) requireFunction('client credentials', credentials)
  const timeoutMs = requireNumber('client timeoutMs', options.timeoutMs ?? 30_000, { min: 1, max: 3_600_000 })
  const maxMessageBytes = requireNumber('client maxMessageBytes', options.maxMessageBytes ?? 1_048_576, { min: 1, max: 2 ** 30 })
  const bundle = await tlsBundle(tls)
  const call = await httpClient<CredentialSource>({
    tls: bundle,
    timeoutMs,
    maxRedirects: 0,
    ...(credentials !== undefined && { credentials: credentials as CredentialSource }), // It gives every source its binding.
    ...(serverName !== undefined && { serverName }),
  })
  const url = new URL(text)
  return new EndpointClient(
    { url, bundle, serverName, credentials, timeoutMs, maxMessageBytes },
    call,
    isTlsBundle(tls) ? undefined : () => bundle.close(),
  )
}

interface Settings {
  readonly url: URL
  readonly bundle: ClientTlsBundle
  readonly serverName: string | undefined
  readonly credentials: AnySource | undefined
  readonly timeoutMs: number
  readonly maxMessageBytes: number
}

class EndpointClient implements Client {
  readonly #settings: Settings
  readonly #call: HttpClient
  readonly #release: (() => void) | undefined
  readonly #closing = new AbortController()
  #sockets: SocketClient | undefined
  #socket: WebSocket | undefined
  #presented: Credential | undefined
  #refused: Credential | undefined

  constructor(settings: Settings, call: HttpClient, release: (() => void) | undefined) {
    this.#settings = settings
    this.#call = call
    this.#release = release
  }

  async execute<Data>(
    { query, variables, operationName }: Operation,
    { signal }: { readonly signal?: AbortSignal } = {},
  ): Promise<Result<Data>> {
    const { url } = this.#settings
    const response = await this.#call(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/graphql-response+json, application/json;q=0.9' },
      body: JSON.stringify({ query, variables, operationName }),
      ...(signal !== undefined && { signal }),
    })
    const content = await textOf(response)
    const error = requestError(url.origin, response.status, response.headers.get('retry-after'))
    if (error !== undefined) throw error
    const result = resultOf<Data>(content)
    if (result === undefined)
      throw new UnavailableError<GraphqlErrorCode>(
        'ERR_GRAPHQL_ANSWER',
        `${url.origin} answered with ${response.status} and no GraphQL result.`,
      )
    return result
  }

  async *subscribe<Data>({ query, variables, operationName }: Operation): AsyncGenerator<Result<Data>, void> {
    this.#sockets ??= this.#connect()
    const payload = { query, ...(variables && { variables: { ...variables } }), ...(operationName !== undefined && { operationName }) }
    for (let again = true; ;) {
      const before = this.#presented
      try {
        for await (const result of this.#sockets.iterate(payload)) {
          again = true
          yield result as Result<Data>
        }
        return
      } catch (thrown) {
        // Errors before the operation began are its result, as over HTTP.
        if (Array.isArray(thrown)) return yield { errors: thrown as NonNullable<Result['errors']> }
        if (closeCodeOf(thrown) !== 4401 || !again || this.#presented === undefined) throw socketError(this.#settings.url.origin, thrown)
        again = false
        // Of several subscriptions on one connection, the first asks for another credential.
        if (this.#refused === undefined || this.#presented === before) this.#refused = this.#presented
      }
    }
  }

  close(): void {
    this.#closing.abort()
    // It waits for a connection that is being made, and that may come to nothing.
    Promise.resolve(this.#sockets?.dispose()).catch(() => undefined)
    this.#call.close()
    this.#release?.()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  #connect(): SocketClient {
    const { url, bundle, serverName, timeoutMs, maxMessageBytes } = this.#settings
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
    const port = url.port === '' ? 443 : Number(url.port)
    /** Connects over TLS with what the bundle says at that moment; nothing is written before the server is proven. */
    class SecureWebSocket extends WebSocket {
      constructor(address: string | URL, protocols?: string | string[]) {
        super(address, protocols, {
          createConnection: () => {
            const secure = secureClientOptions(bundle, { host, alpn: ['http/1.1'], ...(serverName !== undefined && { serverName }) })
            const socket = connect({ ...secure, host, port })
            return socket.once('secureConnect', () => attachClient(socket, bundle))
          },
          handshakeTimeout: timeoutMs,
          maxPayload: maxMessageBytes,
          perMessageDeflate: false,
          followRedirects: false,
        })
      }
    }
    return createClient({
      url: url.href.replace(/^https/, 'wss'),
      webSocketImpl: SecureWebSocket,
      connectionAckWaitTimeout: timeoutMs,
      connectionParams: () => this.#params(),
      // The library tells close events by their shape, which some errors of a source have too. Only an outage passes.
      shouldRetry: (thrown) => (isSecurityError(thrown) ? thrown.family === 'unavailable' : closeCodeOf(thrown) !== undefined),
      on: {
        connected: (socket) => {
          this.#socket = socket as WebSocket
          this.#refused = undefined
        },
        ping: (received, payload) => {
          if (received && payload?.['expiring'] !== undefined) void this.#renew()
        },
      },
    })
  }

  async #params(): Promise<{ readonly authorization: string } | undefined> {
    if (this.#settings.credentials === undefined) return undefined
    const none = (cause: unknown): AuthenticationError =>
      new AuthenticationError<GraphqlErrorCode>('ERR_GRAPHQL_REFUSED', {
        message: `${this.#settings.url.origin} refused the credential, and the source has no other.`,
        cause,
      })
    const supplied = await otherCredential((request) => this.#supply(request), this.#refused, none)
    this.#presented = supplied.credential
    return presentInBand(supplied.credential)
  }

  async #supply(request: { readonly refused?: Credential } = {}): Promise<Supplied> {
    const { url, credentials } = this.#settings
    if (credentials === undefined) throw new ConfigurationError('ERR_OPTION_MISSING', 'There is no credential source.')
    // A proof for the request that a WebSocket begins with cannot come in a message; such credentials are refused below.
    const source = credentials as BoundSource
    return source({
      ...request,
      target: { origin: url.origin, secure: true },
      binding: { method: 'GET', uri: `${url.origin}${url.pathname}` },
      signal: this.#closing.signal,
    })
  }

  /** The session is about to end: shows a fresh credential on the same connection. If there is none, the old one runs out. */
  async #renew(): Promise<void> {
    const socket = this.#socket
    try {
      const supplied = await this.#supply()
      if (socket?.readyState !== WebSocket.OPEN) return
      this.#presented = supplied.credential
      socket.send(JSON.stringify({ type: 'ping', payload: presentInBand(supplied.credential) }))
    } catch {
      // The listener closes with 4401 when the time is over, and the next connection asks the source again.
    }
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let bytes = 0
  for await (const chunk of response.body ?? []) {
    bytes += chunk.byteLength
    if (bytes > maxResultBytes)
      throw new UnavailableError<GraphqlErrorCode>('ERR_GRAPHQL_ANSWER', `The answer is larger than ${maxResultBytes} bytes.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function resultOf<Data>(text: string): Result<Data> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
    return 'data' in value || 'errors' in value ? (value as Result<Data>) : undefined
  } catch {
    return undefined
  }
}
