import { ConfigurationError, type Anonymous, type Principal } from '@portcullis/core'
import { serve as serveHttp, type Listener, type ListenerOptions as HttpListenerOptions } from '@portcullis/http'
import { Endpoint, type EndpointOptions } from './endpoint.ts'
import type { GuardedSocket, SocketHandler } from './socket.ts'

type Party = Principal | Anonymous

/** What {@link websocket} takes. */
export interface WebSocketOptions<P extends Party = Principal> extends EndpointOptions<P> {
  /** A listener of `@portcullis/http`; its TLS, limits and carriers of credentials hold for the upgrade. */
  readonly server: Listener
  /** The exact path. */
  readonly path: string
}

/** What {@link serve} takes. */
export interface ServeOptions<P extends Party = Principal>
  extends EndpointOptions<P>, Pick<HttpListenerOptions<P>, 'tls' | 'port' | 'host' | 'origin' | 'carriers' | 'timeouts'> {
  /** The exact path. Default: `/`. */
  readonly path?: string
  /** Limits of the HTTP listener below: the length of the handshake, the number of connections. */
  readonly http?: HttpListenerOptions<P>['limits']
}

/** A path at which WebSockets are opened. */
export interface WebSocketEndpoint<P extends Party = Principal> extends AsyncDisposable {
  /** `wss://host:port/path`. */
  readonly url: string
  /** The open connections of proven peers; for sending to all of them. */
  readonly sockets: ReadonlySet<GuardedSocket<P>>
  /** Takes no more upgrades, and ends every connection with 1001. Resolves when all are closed, which takes a second at most. */
  close(): Promise<void>
}

/** A listener of its own port. */
export interface WebSocketListener<P extends Party = Principal> extends WebSocketEndpoint<P> {
  readonly port: number
  /** The listener below, to which {@link websocket} can add other paths. */
  readonly server: Listener
}

/**
 * Opens WebSockets at a path of an HTTP listener. The guard judges each upgrade before it is answered: a refused one gets
 * 401, 403, 400, 429, 503 or 500 in HTTP's words, and no 101. Afterwards the session's clock ends the connection, not its
 * traffic: with 4401 at expiry and revocation, with 4403 when the policy no longer admits it.
 *
 * Throws a `ConfigurationError` for a missing guard, unknown options, and paths and origins that are none.
 * Not checked: what is in a message, unless `message` is given.
 */
export function websocket<P extends Party>(options: WebSocketOptions<P>, handler: SocketHandler<P>): WebSocketEndpoint<P> {
  const { server, path, ...rest } = options
  if (typeof server?.onUpgrade !== 'function')
    throw new ConfigurationError('ERR_OPTION_MISSING', 'websocket needs `server`, a listener of @portcullis/http.')
  const endpoint = new Endpoint('websocket', path, rest, handler)
  endpoint.attach(server)
  return {
    url: `${server.origin.replace(/^http/, 'ws')}${path}`,
    sockets: endpoint.sockets,
    close: () => endpoint.close(),
    [Symbol.asyncDispose]: () => endpoint.close(),
  }
}

/**
 * Opens a port for WebSockets alone, over TLS, and resolves when it listens. All else is refused, after the guard has
 * judged it. Throws what {@link websocket} and `serve` of `@portcullis/http` throw.
 */
export async function serve<P extends Party>(options: ServeOptions<P>, handler: SocketHandler<P>): Promise<WebSocketListener<P>> {
  const { tls, port, host, origin, carriers, timeouts, http, path = '/', ...rest } = options
  const settings: HttpListenerOptions<P> = {
    tls,
    port,
    guard: options.guard,
    versions: ['http/1.1'],
    ...(host !== undefined && { host }),
    ...(origin !== undefined && { origin }),
    ...(carriers !== undefined && { carriers }),
    ...(timeouts !== undefined && { timeouts }),
    ...(http !== undefined && { limits: http }),
  }
  // RFC 9110 section 15.5.22: what is here is to be had by another protocol only.
  const server = await serveHttp<P>(settings, () => ({ status: 426, headers: { upgrade: 'websocket', connection: 'upgrade' }, body: '' }))
  try {
    const endpoint = websocket<P>({ server, path, ...rest }, handler)
    const close = (): Promise<void> => endpoint.close().then(() => server.close({ graceMs: 0 }))
    return { ...endpoint, port: server.port, server, close, [Symbol.asyncDispose]: close }
  } catch (error) {
    await server.close({ graceMs: 0 })
    throw error
  }
}
