import { request as plainRequest, Agent as PlainAgent, type IncomingMessage } from 'node:http'
import { Agent as SecureAgent, request as secureRequest, type RequestOptions } from 'node:https'
import { Readable } from 'node:stream'
import type { ReadableStream as NodeStream } from 'node:stream/web'
import type { TLSSocket } from 'node:tls'
import {
  AuthenticationError,
  BoundedCache,
  checkOptions,
  ConfigurationError,
  otherCredential,
  requireFunction,
  requireNumber,
  requireText,
  UnavailableError,
  type AnySource,
  type BoundSource,
  type Credential,
  type CredentialSource,
  type Principal,
  type Supplied,
} from '@portcullis/core'
import {
  attachClient,
  isTlsBundle,
  secureClientOptions,
  tlsBundle,
  tlsFailureOf,
  type ClientTlsBundle,
  type ClientTlsOptions,
} from '@portcullis/tls'
import { plaintextChannel } from './danger.ts'
import { heed, present } from './present.ts'

/** What {@link client} takes. */
export interface ClientOptions<S extends AnySource = AnySource> {
  /** Whom to trust, and a key pair for mutual TLS: options, or a bundle. Default: the public authorities. */
  readonly tls?: ClientTlsOptions | ClientTlsBundle | typeof plaintextChannel
  /** What to present. Without it nothing is. */
  readonly credentials?: S
  /** The name to ask servers for and to find in their certificates, where it is not the URL's host. */
  readonly serverName?: string
  /** Until the fields of the answer are there, in milliseconds. Default: 30,000. */
  readonly timeoutMs?: number
  /** Without any byte of the content, in milliseconds. Default: 30,000. */
  readonly idleMs?: number
  /** Redirects that are followed. Default: 5. */
  readonly maxRedirects?: number
  /** Connections at a time to one origin. Default: 64. */
  readonly maxConnections?: number
}

/** What a call takes, besides what `fetch` does. */
export interface DelegatedInit extends RequestInit {
  /** The caller on whose behalf it is made. */
  readonly onBehalfOf: Principal
}

interface Closeable extends Disposable {
  /** Closes idle connections; calls under way go on. */
  close(): void
}

/** Like `fetch`, with TLS, credentials and bounds of its own. A client whose source needs a caller takes none without. */
export type Client<S extends AnySource = CredentialSource> = Closeable &
  (S extends CredentialSource | BoundSource
    ? (input: string | URL | Request, init?: RequestInit) => Promise<Response>
    : (input: string | URL | Request, init: DelegatedInit) => Promise<Response>)

const redirects: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])
const withoutBody: ReadonlySet<number> = new Set([204, 205, 304])
// What must not follow to another origin (Fetch standard, section 4.4; RFC 9110 section 15.4).
const credentialFields = ['authorization', 'proxy-authorization', 'cookie', 'dpop'] as const
const contentFields = [
  'content-type',
  'content-length',
  'content-encoding',
  'content-language',
  'content-location',
  'transfer-encoding',
] as const

/**
 * Makes a function like `fetch` that presents the source's credentials over TLS.
 *
 * It calls https URLs only (`ERR_HTTP_INSECURE_TARGET`). An answer of 401 whose challenge names an error is repeated
 * once, if the source, told which credential was refused, has a different one, and the content can be sent again. On a
 * redirect to another origin credentials stay behind, those of the call's own fields too; from https to http none is
 * followed (`ERR_HTTP_REDIRECT`). It speaks HTTP/1.1 and asks for no compression.
 *
 * A call rejects with `ERR_HTTP_CONNECTION`, `ERR_HTTP_TLS` or `ERR_HTTP_ANSWER_TIMEOUT`, with the reason of its own
 * `signal`, or with what the source throws; an HTTP error status is an answer. Not checked: what the answer's content is.
 */
export async function client<S extends AnySource = CredentialSource>(options: ClientOptions<S> = {}): Promise<Client<S>> {
  checkOptions<ClientOptions<S>>('client', options, {
    tls: true,
    credentials: true,
    serverName: true,
    timeoutMs: true,
    idleMs: true,
    maxRedirects: true,
    maxConnections: true,
  })
  if (Object.hasOwn(options, 'credentials')) requireFunction('client credentials', options.credentials)
  if (options.serverName !== undefined) requireText('client serverName', options.serverName)
  const settings: Settings = {
    credentials: options.credentials,
    serverName: options.serverName,
    timeoutMs: requireNumber('client timeoutMs', options.timeoutMs ?? 30_000, { min: 1, max: 3_600_000 }),
    idleMs: requireNumber('client idleMs', options.idleMs ?? 30_000, { min: 1, max: 3_600_000 }),
    maxRedirects: requireNumber('client maxRedirects', options.maxRedirects ?? 5, { min: 0, max: 20 }),
    maxSockets: requireNumber('client maxConnections', options.maxConnections ?? 64, { min: 1, max: 10_000 }),
    nonces: new BoundedCache({ maxEntries: maxNonces }),
  }
  const { tls = { side: 'client' } } = options
  const line = tls === plaintextChannel ? plainLine(settings) : secureLine(settings, await tlsBundle(tls), !isTlsBundle(tls))
  const call = (input: string | URL | Request, init?: RequestInit & { readonly onBehalfOf?: Principal }): Promise<Response> =>
    new Call(settings, line, input, init).run()
  // Whether `onBehalfOf` is demanded was decided by the type of the source.
  return Object.assign(call, { close: () => line.close(), [Symbol.dispose]: () => line.close() })
}

interface Settings {
  readonly credentials: AnySource | undefined
  readonly serverName: string | undefined
  readonly timeoutMs: number
  readonly idleMs: number
  readonly maxRedirects: number
  readonly maxSockets: number
  /** The last nonce for proofs of each origin (RFC 9449 section 8.2). */
  readonly nonces: BoundedCache<string, string>
}

// Targets that ask for nonces are configured ones; a forgotten nonce costs one repetition.
const maxNonces = 1_000

/** What calls go out over. */
interface Line {
  readonly scheme: 'https:' | 'http:'
  readonly secure: boolean
  readonly request: typeof secureRequest
  agent(): PlainAgent
  close(): void
}

function plainLine({ maxSockets }: Settings): Line {
  const agent = new PlainAgent({ keepAlive: true, maxSockets })
  return { scheme: 'http:', secure: false, request: plainRequest, agent: () => agent, close: () => retire(agent) }
}

function secureLine({ maxSockets, serverName }: Settings, bundle: ClientTlsBundle, own: boolean): Line {
  let agent: BundleAgent | undefined
  const leave = (): void => {
    if (agent !== undefined) retire(agent)
    agent = undefined
  }
  // After a reload connections are made anew; what is under way on old ones is finished there.
  const unsubscribe = bundle.subscribe((event) => {
    if (event.type === 'reloaded') leave()
  })
  return {
    scheme: 'https:',
    secure: true,
    request: secureRequest,
    agent: () => (agent ??= new BundleAgent(bundle, serverName, maxSockets)),
    close: () => {
      leave()
      unsubscribe()
      if (own) bundle.close()
    },
  }
}

/** Closes the connections that are idle now, and the others as soon as their call is over. `Agent.destroy` would cut those. */
function retire(agent: PlainAgent): void {
  agent.keepSocketAlive = () => false
  for (const sockets of Object.values(agent.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
}

/** Connects with what the bundle says at that moment. */
class BundleAgent extends SecureAgent {
  readonly #bundle: ClientTlsBundle
  readonly #serverName: string | undefined

  constructor(bundle: ClientTlsBundle, serverName: string | undefined, maxSockets: number) {
    super({ keepAlive: true, maxSockets, scheduling: 'lifo' })
    this.#bundle = bundle
    this.#serverName = serverName
  }

  override createConnection(
    options: RequestOptions,
    callback?: Parameters<SecureAgent['createConnection']>[1],
  ): ReturnType<SecureAgent['createConnection']> {
    const host = (options.host ?? '').replace(/^\[(.*)\]$/, '$1')
    const secure = secureClientOptions(this.#bundle, {
      host,
      ...(this.#serverName !== undefined && { serverName: this.#serverName }),
      alpn: ['http/1.1'],
    })
    // An agent of node:https connects by TLS and by nothing else.
    const socket = super.createConnection({ ...options, ...secure }, callback) as TLSSocket
    socket.once('secureConnect', () => attachClient(socket, this.#bundle))
    return socket
  }
}

/** One call with its redirects and its one repetition. */
class Call {
  readonly #settings: Settings
  readonly #line: Line
  readonly #request: Request
  readonly #repeatable: boolean
  readonly #onBehalfOf: Principal | undefined
  readonly #signal: AbortSignal
  #headers: Headers
  #content: Uint8Array | Readable | undefined

  constructor(
    settings: Settings,
    line: Line,
    input: string | URL | Request,
    init: (RequestInit & { readonly onBehalfOf?: Principal }) | undefined,
  ) {
    this.#settings = settings
    this.#line = line
    const { onBehalfOf, ...rest } = init ?? {}
    this.#onBehalfOf = onBehalfOf
    const body = rest.body
    this.#repeatable = !(input instanceof Request && input.body !== null) && !(body instanceof ReadableStream)
    this.#request = new Request(input, body instanceof ReadableStream ? Object.assign({ duplex: 'half' as const }, rest) : rest)
    this.#headers = new Headers(this.#request.headers)
    this.#signal = this.#request.signal
  }

  async run(): Promise<Response> {
    const { credentials, maxRedirects } = this.#settings
    if (credentials !== undefined && this.#headers.has('authorization'))
      throw new ConfigurationError(
        'ERR_HTTP_CREDENTIAL_CONFLICT',
        'This client has a credential source; a call must not bring an Authorization field of its own.',
      )
    const { body } = this.#request
    if (body !== null) {
      // Where a library brings the types of browsers along, the body is of those.
      // oxlint-disable-next-line typescript/no-unnecessary-type-assertion
      this.#content = this.#repeatable ? new Uint8Array(await this.#request.arrayBuffer()) : Readable.fromWeb(body as NodeStream)
    }
    let url = new URL(this.#request.url)
    let { method } = this.#request
    let presents = credentials !== undefined
    for (let hops = 0; ; hops++) {
      const response = await this.#authenticated(url, method, presents)
      const location = redirects.has(response.status) ? response.headers.get('location') : null
      if (location === null || this.#request.redirect === 'manual') return finished(response, url, hops > 0)
      await response.body?.cancel()
      if (this.#request.redirect === 'error' || hops >= maxRedirects)
        throw redirectError(`${url.origin} redirected ${hops + 1} times, more than are followed.`)
      if (!URL.canParse(location, url.href)) throw redirectError(`${url.origin} redirected to what is no URL.`)
      const next = new URL(location, url)
      if (next.protocol !== this.#line.scheme) throw redirectError(`${url.origin} redirected to ${next.protocol}, which is not followed.`)
      if (response.status === 303 || (method === 'POST' && (response.status === 301 || response.status === 302))) {
        if (method !== 'HEAD') method = 'GET'
        this.#content = undefined
        for (const name of contentFields) this.#headers.delete(name)
      } else if (this.#content instanceof Readable) {
        throw redirectError(`${url.origin} redirected a request whose content cannot be sent twice.`)
      }
      if (next.origin !== url.origin) {
        presents = false
        for (const name of credentialFields) this.#headers.delete(name)
      }
      url = next
    }
  }

  /** One request with its credential; repeated once with another where that promises something. */
  async #authenticated(url: URL, method: string, presents: boolean): Promise<Response> {
    const first = presents ? (await this.#supply(url, method)).credential : undefined
    const response = await this.#send(url, method, first)
    const nonce = first?.kind === 'dpop' ? response.headers.get('dpop-nonce') : null
    if (nonce !== null) this.#settings.nonces.set(url.origin, nonce, Number.POSITIVE_INFINITY)
    if (first === undefined || this.#content instanceof Readable || heed(response.status, response.headers) !== 'refused') return response
    const second = await otherCredential((request) => this.#supply(url, method, request), first)
    if (second === undefined) return response
    await response.body?.cancel()
    return this.#send(url, method, second.credential)
  }

  async #supply(url: URL, method: string, request: { readonly refused?: Credential } = {}): Promise<Supplied> {
    const { credentials, nonces } = this.#settings
    const nonce = nonces.get(url.origin)
    if (credentials === undefined) throw new ConfigurationError('ERR_OPTION_MISSING', 'There is no credential source.')
    const whole = {
      ...request,
      target: { origin: url.origin, secure: this.#line.secure },
      binding: { method, uri: url.origin + url.pathname },
      signal: this.#signal,
      ...(nonce !== undefined && { nonce }),
      ...(this.#onBehalfOf !== undefined && { onBehalfOf: this.#onBehalfOf }),
    }
    // A delegated source's client cannot be called without a caller; in plain JavaScript the source itself refuses.
    return credentials(whole as Parameters<AnySource>[0])
  }

  #send(url: URL, method: string, credential: Credential | undefined): Promise<Response> {
    if (url.protocol !== this.#line.scheme)
      return Promise.reject(
        new ConfigurationError('ERR_HTTP_INSECURE_TARGET', `${url.origin}: this client calls ${this.#line.scheme} URLs only.`),
      )
    if (this.#signal.aborted) return Promise.reject(this.#signal.reason as Error)
    const headers = new Headers(this.#headers)
    if (credential !== undefined) present(headers, credential)
    const content = this.#content
    if (content instanceof Uint8Array) headers.set('content-length', String(content.byteLength))
    if (!headers.has('accept')) headers.set('accept', '*/*')
    const { timeoutMs, idleMs } = this.#settings
    return new Promise((resolve, reject) => {
      const outgoing = this.#line.request({
        agent: this.#line.agent(),
        protocol: url.protocol,
        host: url.hostname,
        port: url.port === '' ? undefined : Number(url.port),
        method,
        path: url.pathname + url.search,
        headers: Object.fromEntries(headers),
      })
      const abort = (): void => void outgoing.destroy(this.#signal.reason as Error)
      const timer = setTimeout(
        () => outgoing.destroy(new UnavailableError('ERR_HTTP_ANSWER_TIMEOUT', `${url.origin} did not answer within ${timeoutMs} ms.`)),
        timeoutMs,
      )
      this.#signal.addEventListener('abort', abort, { once: true })
      outgoing.on('error', (cause) => {
        clearTimeout(timer)
        this.#signal.removeEventListener('abort', abort)
        reject(this.#signal.aborted ? (this.#signal.reason as Error) : failure(url, cause))
      })
      outgoing.on('response', (incoming) => {
        clearTimeout(timer)
        outgoing.setTimeout(idleMs, () =>
          incoming.destroy(new UnavailableError('ERR_HTTP_ANSWER_TIMEOUT', `${url.origin} sent nothing for ${idleMs} ms.`)),
        )
        incoming.once('close', () => this.#signal.removeEventListener('abort', abort))
        resolve(responseOf(incoming))
      })
      if (content instanceof Readable) content.on('error', (error) => outgoing.destroy(error)).pipe(outgoing)
      else outgoing.end(content)
    })
  }
}

function responseOf(incoming: IncomingMessage): Response {
  const headers = new Headers()
  for (let at = 0; at < incoming.rawHeaders.length; at += 2)
    headers.append(incoming.rawHeaders[at] ?? '', incoming.rawHeaders[at + 1] ?? '')
  const status = incoming.statusCode ?? 0
  const empty = withoutBody.has(status) || incoming.headers['content-length'] === '0'
  if (empty) incoming.resume()
  return new Response(empty ? null : (Readable.toWeb(incoming) as ReadableStream<Uint8Array>), {
    status,
    statusText: incoming.statusMessage ?? '',
    headers,
  })
}

/** `url` and `redirected` cannot be given to the constructor of a Response. */
function finished(response: Response, url: URL, redirected: boolean): Response {
  return Object.defineProperties(response, { url: { value: url.href }, redirected: { value: redirected } })
}

function redirectError(message: string): UnavailableError {
  return new UnavailableError('ERR_HTTP_REDIRECT', message)
}

function failure(url: URL, cause: Error & { readonly code?: string }): Error {
  if (cause instanceof UnavailableError) return cause
  if (tlsFailureOf(cause.code ?? '') !== undefined)
    return new AuthenticationError('ERR_HTTP_TLS', { message: `No secure channel to ${url.origin}: ${cause.message}`, cause })
  return new UnavailableError('ERR_HTTP_CONNECTION', { message: `${url.origin} could not be reached, or the connection broke.`, cause })
}
