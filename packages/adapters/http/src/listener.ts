import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Http2SecureServer, IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  checkOptions,
  ConfigurationError,
  requireGuard,
  requireNumber,
  requireText,
  UnavailableError,
  type Anonymous,
  type Guard,
  type Principal,
} from '@portcullis/core'
import type { ServerTlsBundle, ServerTlsOptions } from '@portcullis/tls'
import { checkedCarriers } from './carriers.ts'
import { connectionOf, knownConnectionOf } from './connection.ts'
import type { Cors } from './cors.ts'
import { plaintextChannel } from './danger.ts'
import type { Carriers } from './describe.ts'
import { addressOf, openFront, type Front } from './front.ts'
import type { Handler } from './handler.ts'
import { resolveHooks, type Hooks } from './hooks.ts'
import { Http1Exchange } from './http1.ts'
import { Http2Exchange } from './http2.ts'
import { resolveLimits, resolveTimeouts, type HttpLimits, type HttpTimeouts } from './limits.ts'
import { Pipeline } from './pipeline.ts'
import { TlsTermination } from './proxy.ts'
import { protocolAnswer, rawAnswer, type AnsweredCode } from './refuse.ts'
import { Router } from './router.ts'
import type { Service } from './routes.ts'
import { Upgrades, type UpgradeRegistration } from './upgrade.ts'

type Party = Principal | Anonymous

/** What {@link serve} takes. */
export interface ListenerOptions<P extends Party = Party> {
  /**
   * Key pair, and trust for client certificates: options, or a bundle that is shared with other listeners and reloaded.
   * Behind a proxy that ends the TLS: `tlsTerminatedBy({ … })`. `plaintextChannel` of `./danger` does without.
   */
  readonly tls: ServerTlsOptions | ServerTlsBundle | TlsTermination | typeof plaintextChannel
  /** Covers the handler, and everything that no service covers. */
  readonly guard: Guard<P>
  /** 0 takes a free one. */
  readonly port: number
  /** The address to listen on. Default: `127.0.0.1`, so that nothing is open to a network that was not asked to be. */
  readonly host?: string
  /** Scheme, host and port by which peers know this listener; requests' URLs and proofs are matched with it, never with a `Host` field. Default: `https://localhost:port` on loopback, else from `host`. */
  readonly origin?: string
  /** The versions of HTTP on offer (by ALPN). Default: both. Leave `h2` out where a handler is written for HTTP/1.1 objects, as Express is. */
  readonly versions?: readonly ['h2', 'http/1.1'] | readonly ['http/1.1'] | readonly ['h2']
  /** Resources with their own paths, methods and levels. */
  readonly services?: readonly Service[]
  readonly cors?: Cors
  /** Where credentials may stand besides `Authorization`. Default: nowhere. */
  readonly carriers?: Carriers
  readonly hooks?: Hooks
  readonly limits?: HttpLimits
  readonly timeouts?: HttpTimeouts
  /** Fields of every answer of a fetch handler that does not name them itself, in place of {@link defaultHeaders}. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Fields of every answer that does not name them itself; `strict-transport-security` is added where the origin is https and no loopback name. */
export const defaultHeaders: Readonly<Record<string, string>> = Object.freeze({
  // What a guard let one principal see is nobody else's; a resource that may be stored says so.
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
})

/** A listener that runs. */
export interface Listener extends AsyncDisposable {
  readonly port: number
  readonly origin: string
  /** Node's server, for what is not covered here. Adding a `request` or `stream` listener to it goes round the guard. */
  readonly server: Http2SecureServer | Server
  /** For protocols that begin as an HTTP/1.1 upgrade. Returns how to end the registration. */
  onUpgrade(registration: UpgradeRegistration): () => void
  /**
   * Stops: accepts nothing more, lets requests finish, and after `graceMs` (default 10,000) cuts off what is left.
   * Upgraded connections are their owners' to end; `onUpgrade` registrations are told.
   */
  close(options?: { readonly graceMs?: number }): Promise<void>
}

/**
 * Opens an HTTPS listener for HTTP/1.1 and HTTP/2 whose every request goes through the guard of its level, and resolves
 * when it listens. The handler answers what no service covers; without one that is refused.
 *
 * A request is refused before the guard if it cannot be read in one way only: encoded slashes, dot segments, `//`,
 * control characters, a method override. Throws a `ConfigurationError` for a missing guard, unknown options and paths
 * that contradict each other, and `ERR_HTTP_LISTEN` if the address cannot be had.
 *
 * Not checked: the `Host` field (URLs are built on `origin`), and what a handler written for Node's objects sends.
 */
export async function serve<P extends Party>(options: ListenerOptions<P>, handler?: Handler<P>): Promise<Listener> {
  checkOptions<ListenerOptions<P>>('serve', options, {
    tls: true,
    guard: true,
    port: true,
    host: true,
    origin: true,
    versions: true,
    services: true,
    cors: true,
    carriers: true,
    hooks: true,
    limits: true,
    timeouts: true,
    headers: true,
  })
  // Guard and handler agree on P; below this line they go together.
  const guard = requireGuard('serve', options.guard) as Guard
  const port = requireNumber('serve port', options.port, { min: 0, max: 65_535 })
  const host = requireText('serve host', options.host ?? '127.0.0.1')
  const limits = resolveLimits(options.limits)
  const timeouts = resolveTimeouts(options.timeouts)
  if (options.tls === undefined)
    throw new ConfigurationError('ERR_OPTION_MISSING', 'serve needs `tls`: key pair and trust, or tlsTerminatedBy({ … }) behind a proxy.')
  if (options.origin !== undefined && (!URL.canParse(options.origin) || new URL(options.origin).origin !== options.origin))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'serve `origin` is scheme, host and port only, such as https://orders.example.')
  const router = new Router(guard, options.services ?? [], handler as Handler | undefined, options.cors)
  let origin = options.origin ?? ''
  const pipeline = new Pipeline({
    guard,
    router,
    limits,
    carriers: checkedCarriers(options.carriers),
    hooks: resolveHooks(options.hooks),
    headers: Object.entries(options.headers ?? withTransportSecurity(options.origin)).map(
      ([name, value]) => [name.toLowerCase(), value] as const,
    ),
    termination: options.tls instanceof TlsTermination ? options.tls : undefined,
    allowPlaintext: options.tls === plaintextChannel,
    origin: () => origin,
  })
  const front = await openFront(options, guard, limits, timeouts)
  const upgrades = new Upgrades(pipeline, guard, () => origin)
  wire(front, pipeline, upgrades, guard)
  try {
    await listen(front.server, port, host)
  } catch (cause) {
    front.release()
    throw new UnavailableError('ERR_HTTP_LISTEN', { message: `Cannot listen on ${host}:${port}.`, cause })
  }
  front.connections.start(timeouts, (exchange) => pipeline.late(exchange))
  const bound = (front.server.address() as AddressInfo).port
  origin ||= `${front.scheme}://${originHost(host)}${bound === (front.scheme === 'https' ? 443 : 80) ? '' : `:${bound}`}`
  const close = once(async (graceMs: number): Promise<void> => {
    upgrades.close()
    await closeServer(front, pipeline, graceMs)
    front.release()
  })
  return {
    port: bound,
    origin,
    server: front.server,
    onUpgrade: (registration) => upgrades.add(registration),
    close: async ({ graceMs = 10_000 } = {}) => close(requireNumber('close graceMs', graceMs, { min: 0, max: 3_600_000 })),
    [Symbol.asyncDispose]: () => close(10_000),
  }
}

/** Leads everything that the server emits into the pipeline. */
function wire({ server, channelOf, connections }: Front, pipeline: Pipeline, upgrades: Upgrades, guard: Guard): void {
  const http1 = (request: IncomingMessage, response: ServerResponse, awaitsContinue: boolean): void => {
    try {
      const own = connectionOf(request.socket, channelOf)
      const exchange = new Http1Exchange(request, response, own, awaitsContinue)
      own.current = exchange
      pipeline.handle(exchange)
    } catch {
      // The certificate no longer holds: tls has ended the connection, and told why.
      request.destroy()
    }
  }
  // Either way requests of HTTP/1.1 come with the objects of `node:http`.
  const plain = server as Server
  plain.on('request', (request, response) => http1(request, response, false))
  plain.on('checkContinue', (request, response) => http1(request, response, true))
  const secure = server as Http2SecureServer
  // Node adds its compatibility layer for HTTP/2 as soon as somebody listens to `request`; streams are answered here.
  secure.removeAllListeners('stream')
  secure.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, rawHeaders?: string[]) => {
    const { session } = stream
    if (session === undefined || stream.destroyed) return
    try {
      const own = connectionOf(session, () => channelOf(session.socket))
      const exchange = new Http2Exchange(stream, headers, rawHeaders ?? [], own)
      connections.enter(session, exchange)
      pipeline.handle(exchange)
    } catch {
      session.destroy()
    }
  })
  secure.on('sessionError', () => undefined)
  server.on('clientError', (error: Error & { code?: string }, socket: Duplex) => {
    const code: AnsweredCode =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? 'ERR_HTTP_FIELDS_TOO_LARGE'
        : error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
          ? 'ERR_HTTP_REQUEST_TIMEOUT'
          : 'ERR_HTTP_REQUEST_MALFORMED'
    const exchange = knownConnectionOf(socket)?.current
    // Bytes in the middle of another answer would be taken for a part of it.
    if (error.code === 'ECONNRESET' || !socket.writable || (exchange !== undefined && !exchange.finished)) return void socket.destroy()
    guard.report({ type: 'messageRefused', protocol: 'https', code, cause: error, ...addressOf(socket) })
    socket.end(rawAnswer(protocolAnswer(code)), () => socket.destroy())
  })
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    try {
      if (upgrades.handle(request, socket, head, connectionOf(request.socket, channelOf))) connections.release(request.socket)
    } catch {
      // As with any request of a certificate that no longer holds.
      socket.destroy()
    }
  })
}

function listen(server: Http2SecureServer | Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function closeServer({ server, connections }: Front, pipeline: Pipeline, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => {
      pipeline.endAll()
      connections.destroy()
    }, graceMs)
    // It also closes connections of HTTP/1.1 that are idle.
    server.close(() => {
      clearTimeout(cut)
      connections.stop()
      pipeline.endAll()
      resolve()
    })
    connections.goAway()
  })
}

function withTransportSecurity(origin: string | undefined): Readonly<Record<string, string>> {
  const isPublic = origin !== undefined && origin.startsWith('https:') && !isLoopback(new URL(origin).hostname)
  return isPublic ? { ...defaultHeaders, 'strict-transport-security': 'max-age=31536000' } : defaultHeaders
}

function originHost(host: string): string {
  if (isLoopback(host) || host === '0.0.0.0' || host === '::') return 'localhost'
  return host.includes(':') ? `[${host}]` : host
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host.endsWith('.localhost') || host.startsWith('127.') || host === '::1' || host === '[::1]'
}

function once(work: (graceMs: number) => Promise<void>): (graceMs: number) => Promise<void> {
  let running: Promise<void> | undefined
  return (graceMs) => (running ??= work(graceMs))
}
