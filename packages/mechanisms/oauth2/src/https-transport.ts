import { Agent, request as httpsRequest, type RequestOptions } from 'node:https'
import type { TLSSocket } from 'node:tls'
import { isSecurityError, requireNumber } from '@portcullis/core'
import { attachClient, secureClientOptions, tlsBundle, tlsFailureOf, type ClientTlsBundle } from '@portcullis/tls'
import { outage, type OAuth2ErrorCode } from './errors.ts'

/** What is sent. */
export interface TransportRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: URLSearchParams | string | undefined
  readonly signal?: AbortSignal | undefined
}

/** Shaped like `fetch`: one HTTPS exchange, its content read to the end. */
export type Transport = (url: string, request: TransportRequest) => Promise<Response>

/** The bounds and the trust of a {@link httpsTransport}. */
export interface TransportOptions {
  /** Whom to trust, and a key pair for mutual TLS. Default: the public authorities. Whoever made it closes it. */
  readonly tls?: ClientTlsBundle
  /** Until the connection is secure, in milliseconds. Default: 15,000. */
  readonly connectTimeoutMs?: number
  /** Until the answer has arrived whole, connecting included, in milliseconds. Default: 30,000. */
  readonly timeoutMs?: number
}

// Key sets, metadata and token answers are kilobytes; a megabyte is none of them.
const maxContentBytes = 1_048_576
// Enough to the one server that is called here; more would only queue there.
const maxSockets = 64

/**
 * Makes the one way in which this package calls an authorization server: HTTPS only, HTTP/1.1, certificates verified by
 * the bundle, no redirects followed (a 3xx is an answer that nobody takes), no compression, content of 1 MiB at most.
 *
 * A call rejects with `ERR_OAUTH_UNREACHABLE`, `ERR_OAUTH_SERVER_UNTRUSTED`, `ERR_OAUTH_TIMEOUT` or
 * `ERR_OAUTH_ANSWER_TOO_LARGE`, or with the reason of its signal.
 */
export function httpsTransport(options: TransportOptions): Transport {
  const connectTimeoutMs = requireNumber('connectTimeoutMs', options.connectTimeoutMs ?? 15_000, { min: 1, max: 600_000 })
  const timeoutMs = requireNumber('timeoutMs', options.timeoutMs ?? 30_000, { min: 1, max: 600_000 })
  const agentOf = agents(options.tls)
  return async (address, request) => {
    const url = new URL(address)
    if (url.protocol !== 'https:') throw outage('ERR_OAUTH_SERVER_UNTRUSTED', `${url.origin} is called over https only.`)
    request.signal?.throwIfAborted()
    const { pooled, fresh } = await agentOf()
    const bounds = { connectTimeoutMs, timeoutMs }
    const answer = await exchange(pooled, url, request, bounds).catch((error: unknown) => {
      if (!(error instanceof StaleConnection)) throw error
      return exchange(fresh, url, request, bounds)
    })
    try {
      return responseOf(answer)
    } catch (cause) {
      throw outage('ERR_OAUTH_ANSWER_INVALID', `${url.origin} answered with what is no HTTP response.`, cause)
    }
  }
}

// The public authorities: made when it is first needed, and the same for all, since nothing of it can change.
let publicBundle: Promise<ClientTlsBundle> | undefined

interface Agents {
  readonly pooled: BundleAgent
  /** For the one repetition of what met a connection that the server had closed. */
  readonly fresh: Agent
}

/** The agents of the bundle's present generation: after a reload connections are made anew. */
function agents(given: ClientTlsBundle | undefined): () => Agents | Promise<Agents> {
  let present: Agents | undefined
  const make = (bundle: ClientTlsBundle): Agents => {
    present?.pooled.retire()
    return (present = { pooled: new BundleAgent(bundle, true), fresh: new BundleAgent(bundle, false) })
  }
  const ready = (bundle: ClientTlsBundle): Agents => {
    bundle.subscribe(({ type }) => {
      if (type === 'reloaded') make(bundle)
    })
    return make(bundle)
  }
  if (given !== undefined) ready(given)
  return () => present ?? (publicBundle ??= tlsBundle({ side: 'client' })).then((bundle) => present ?? ready(bundle))
}

/** A connection that was kept open had been closed by the server, before any of the answer came. */
class StaleConnection extends Error {}
const closedByPeer: ReadonlySet<unknown> = new Set(['ECONNRESET', 'EPIPE'])

class BundleAgent extends Agent {
  readonly #bundle: ClientTlsBundle

  constructor(bundle: ClientTlsBundle, keepAlive: boolean) {
    super({ keepAlive, maxSockets, scheduling: 'lifo' })
    this.#bundle = bundle
  }

  /** Closes the connections that are idle now, and the others as soon as their call is over. `Agent.destroy` would cut those. */
  retire(): void {
    this.keepSocketAlive = () => false
    for (const sockets of Object.values(this.freeSockets)) for (const socket of sockets ?? []) socket.destroy()
  }

  override createConnection(
    options: RequestOptions,
    callback?: Parameters<Agent['createConnection']>[1],
  ): ReturnType<Agent['createConnection']> {
    const host = (options.host ?? '').replace(/^\[(.*)\]$/, '$1')
    const socket = super.createConnection({ ...options, ...secureClientOptions(this.#bundle, { host, alpn: ['http/1.1'] }) }, callback)
    // An agent of node:https connects by TLS and by nothing else.
    const secure = socket as TLSSocket
    secure.once('secureConnect', () => attachClient(secure, this.#bundle))
    return socket
  }
}

interface Answer {
  readonly status: number
  readonly rawHeaders: readonly string[]
  readonly content: Buffer
}

function exchange(
  agent: Agent,
  url: URL,
  { method, headers, body, signal }: TransportRequest,
  bounds: { readonly connectTimeoutMs: number; readonly timeoutMs: number },
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const content = body === undefined ? undefined : Buffer.from(String(body), 'utf8')
    const outgoing = httpsRequest({
      agent,
      host: url.hostname,
      port: url.port === '' ? 443 : Number(url.port),
      method,
      path: url.pathname + url.search,
      headers: { ...headers, ...(content !== undefined && { 'content-length': String(content.length) }) },
    })
    const late = (what: string, ms: number) => (): void => fail(outage('ERR_OAUTH_TIMEOUT', `${url.origin} ${what} within ${ms} ms.`))
    const whole = setTimeout(late('did not answer', bounds.timeoutMs), bounds.timeoutMs)
    let connecting: NodeJS.Timeout | undefined
    const settle = (): void => {
      clearTimeout(whole)
      clearTimeout(connecting)
      signal?.removeEventListener('abort', abort)
    }
    const fail = (error: unknown): void => {
      settle()
      outgoing.destroy()
      reject(error)
    }
    const abort = (): void => fail(signal?.reason)
    signal?.addEventListener('abort', abort, { once: true })
    outgoing.on('error', (cause: NodeJS.ErrnoException) =>
      fail(outgoing.reusedSocket && closedByPeer.has(cause.code) ? new StaleConnection() : failure(url, cause)),
    )
    outgoing.on('socket', (socket) => {
      if (!socket.connecting) return
      connecting = setTimeout(late('was not connected', bounds.connectTimeoutMs), bounds.connectTimeoutMs)
      socket.once('secureConnect', () => clearTimeout(connecting))
    })
    outgoing.on('response', (incoming) => {
      const chunks: Buffer[] = []
      let bytes = 0
      incoming.on('data', (chunk: Buffer) => {
        bytes += chunk.length
        if (bytes > maxContentBytes) fail(outage('ERR_OAUTH_ANSWER_TOO_LARGE', `${url.origin} sent more than ${maxContentBytes} bytes.`))
        else chunks.push(chunk)
      })
      incoming.on('error', (cause) => fail(failure(url, cause)))
      incoming.on('end', () => {
        settle()
        resolve({ status: incoming.statusCode ?? 0, rawHeaders: incoming.rawHeaders, content: Buffer.concat(chunks) })
      })
    })
    outgoing.end(content)
  })
}

const withoutContent: ReadonlySet<number> = new Set([204, 205, 304])

function responseOf({ status, rawHeaders, content }: Answer): Response {
  const headers = new Headers()
  for (let at = 0; at < rawHeaders.length; at += 2) headers.append(rawHeaders[at] ?? '', rawHeaders[at + 1] ?? '')
  return new Response(withoutContent.has(status) || content.length === 0 ? null : new Uint8Array(content), { status, headers })
}

function failure(url: URL, cause: NodeJS.ErrnoException): Error {
  if (isSecurityError(cause) && cause.code.startsWith('ERR_OAUTH_')) return cause
  const code: OAuth2ErrorCode = tlsFailureOf(cause.code ?? '') !== undefined ? 'ERR_OAUTH_SERVER_UNTRUSTED' : 'ERR_OAUTH_UNREACHABLE'
  return outage(code, `${url.origin} could not be reached: ${cause.message}`, cause)
}
