import { Server, ServerCredentials, ServerInterceptingCall, type handleUnaryCall, type ServerInterceptor } from '@grpc/grpc-js'
import {
  checkOptions,
  ConfigurationError,
  maxGraceMs,
  requireFunction,
  requireGuard,
  requireNumber,
  requireText,
  UnavailableError,
  type Anonymous,
  type Guard,
  type Principal,
} from '@portcullis/core'
import { attach, isTlsBundle, secureServerOptions, tlsBundle, type ServerTlsBundle, type ServerTlsOptions } from '@portcullis/tls'
import type { AddressInfo, Socket } from 'node:net'
import { createServer, type Server as TlsServer } from 'node:tls'
import { Connection, Connections } from './connection.ts'
import { factsOf, type Carriers } from './describe.ts'
import type { GrpcErrorCode } from './errors.ts'
import { GuardedCall, type CallSettings, type Route } from './guarded-call.ts'
import { refusals } from './refuse.ts'
import { empty, renewalKey, renewalPath } from './renewal.ts'
import type { Service } from './service.ts'

/** What {@link serve} takes. */
export interface ServeOptions<P extends Principal | Anonymous = Principal> {
  readonly tls: ServerTlsBundle | ServerTlsOptions
  /** The listener's level: covers whatever no service and no method brings a guard of its own for. */
  readonly guard: Guard<P>
  /** Made by `service()`. */
  readonly services?: readonly Service[]
  /** Adds services of other libraries, such as health and reflection: `(server) => health.addToServer(server)`. */
  readonly register?: (server: Server) => void
  /** Guards for what `register` adds, by service or path: `{ 'grpc.health.v1.Health': open }`. */
  readonly guards?: Readonly<Record<string, Guard<P> | Guard<Anonymous> | Guard>>
  /** Interceptors of one's own. They run behind the guard. */
  readonly interceptors?: readonly ServerInterceptor[]
  /** Metadata that carries a credential beside `authorization`: `{ 'x-api-key': 'apiKey' }`. */
  readonly carriers?: Carriers
  /** Default: one that is free. */
  readonly port?: number
  /** Default: loopback, so that nothing is open to others by accident. */
  readonly host?: string
  /** What clients call it: proofs of possession must name it. Default: `https://localhost` with the port. */
  readonly origin?: string
  /** Default 10,000: each holds a socket and a session, some tens of kilobytes. */
  readonly maxConnections?: number
  /** On one connection. Default 100, as RFC 9113 section 6.5.2 recommends at least. */
  readonly maxConcurrentStreams?: number
  /** In either direction. Default 4 MiB, as in every gRPC library. */
  readonly maxMessageBytes?: number
  /** How long a connection may be without a call. Default 300,000. */
  readonly idleTimeoutMs?: number
  /** The longest life of a stream whose principal has no expiry. Default: one hour. */
  readonly maxSessionMs?: number
  /** How long after expiry a stream may live on. Default 0, at most a minute. */
  readonly graceMs?: number
}

/** A listener that runs. */
export interface GrpcListener {
  readonly port: number
  readonly origin: string
  /** Ends streams with UNAVAILABLE, lets calls finish for `graceMs` (default 5,000), and cuts what is left. */
  close(options?: { readonly graceMs?: number }): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

// A peer that vanished without a word is noticed after a minute and twenty seconds.
const keepAlive = { 'grpc.keepalive_time_ms': 60_000, 'grpc.keepalive_timeout_ms': 20_000 }

/**
 * Opens a gRPC listener over TLS. Every call passes the guard of its method, else of its service, else the listener's;
 * streams end when their principal does.
 *
 * TLS is this package's own, in front of the library's server: the bundle decides on versions, server names and client
 * certificates, a reload holds for the next handshake, and that the channel is secure is a fact of the socket. A path
 * that nothing is registered for is answered UNIMPLEMENTED by the library, before any guard.
 *
 * Throws `ERR_GUARD_MISSING` without a guard, `ERR_GRPC_METHOD_UNKNOWN` for a guard of something that is not
 * registered, `ERR_GRPC_BIND` if the port is taken, and what `tlsBundle` throws.
 */
export async function serve<P extends Principal | Anonymous>(options: ServeOptions<P>): Promise<GrpcListener> {
  const settings = settingsOf(options)
  const { guard } = settings
  const connections = new Connections()
  let { origin } = options
  const routes = new Map<string, Route>()
  const routeOf = (path: string, streams: boolean): Route => {
    const known = routes.get(path)
    if (known !== undefined) return known
    // Only paths that are registered get here, so the table cannot grow beyond them.
    const route = { path, guard: settings.guardOf(path), facts: factsOf(path, origin ?? ''), streams }
    routes.set(path, route)
    return route
  }
  const intercept: ServerInterceptor = ({ path, requestStream, responseStream }, call) => {
    const connection = connections.of(call)
    // It is gone, and the call with it; what never starts reaches no handler.
    if (connection === undefined) return new ServerInterceptingCall(call, { start: () => call.sendStatus(refusals.internal) })
    const guarded = new GuardedCall(call, routeOf(path, requestStream || responseStream), connection, settings.calls)
    // The type asks for the library's class, which does by responders what this does by itself; of an interceptor's
    // result the library calls nothing but the interface, which both have.
    return guarded as unknown as ServerInterceptingCall
  }
  const server = serverOf(options, intercept)
  settings.checkGuards(server.paths)

  const tls = await tlsBundle(options.tls)
  // The channel is secured in front of the library, whose part therefore is plain.
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure())
  const front = createServer(secureServerOptions(tls, { alpn: ['h2'] }), (socket) => {
    // As the library does where it owns the socket: nobody else listens, and a reset is no fault of ours.
    socket.on('error', () => undefined)
    if (socket.alpnProtocol !== 'h2') {
      guard.report({ type: 'handshakeRefused', protocol: 'grpc', code: 'ERR_GRPC_PROTOCOL' satisfies GrpcErrorCode })
      return void socket.destroy()
    }
    try {
      connections.add(socket, new Connection(socket, tls))
    } catch {
      // The certificate does not hold; the bundle has told its subscribers why.
      return void socket.destroy()
    }
    return injector.injectConnection(socket)
  })
  front.maxConnections = settings.maxConnections
  // Below TLS, so that those which are still in their handshake are among them.
  const sockets = new Set<Socket>()
  front.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  attach(front, tls)
  // What happens before the guard belongs into the same audit trail.
  const unsubscribe = tls.subscribe((event) => {
    if (event.type !== 'handshakeRefused' || event.server !== front) return
    const { remoteAddress } = event
    guard.report({
      type: event.type,
      protocol: 'grpc',
      code: event.code,
      cause: event.error,
      ...(remoteAddress !== undefined && { remoteAddress }),
    })
  })
  const shutDown = async ({ graceMs = 5_000 }: { readonly graceMs?: number } = {}): Promise<void> => {
    requireNumber('close: graceMs', graceMs, { min: 0, max: 600_000 })
    unsubscribe()
    const closed = new Promise<void>((resolve) => front.close(() => resolve()))
    for (const connection of connections) connection.shutDown()
    server.tryShutdown(() => undefined)
    const timer = setTimeout(() => {
      server.forceShutdown()
      for (const socket of sockets) socket.destroy()
    }, graceMs)
    await closed
    clearTimeout(timer)
    // Who makes a bundle closes it.
    if (!isTlsBundle(options.tls)) tls.close()
  }
  try {
    const port = await listen(front, settings)
    origin ??= `https://localhost:${port}`
    return { port, origin, close: shutDown, [Symbol.asyncDispose]: () => shutDown() }
  } catch (cause) {
    await shutDown({ graceMs: 0 })
    throw new UnavailableError<GrpcErrorCode>('ERR_GRPC_BIND', {
      message: `Port ${settings.port} of ${settings.host} cannot be opened.`,
      cause,
    })
  }
}

/** Knows what was registered, so that a guard for what is not there is found at once. */
class RegisteringServer extends Server {
  readonly paths = new Set<string>()

  override register<Q, R>(...args: Parameters<typeof Server.prototype.register<Q, R>>): boolean {
    this.paths.add(args[0])
    return super.register(...args)
  }
}

function serverOf<P extends Principal | Anonymous>(options: ServeOptions<P>, intercept: ServerInterceptor): RegisteringServer {
  const {
    services = [],
    register,
    interceptors = [],
    maxConcurrentStreams = 100,
    maxMessageBytes = 4 * 1024 * 1024,
    idleTimeoutMs = 300_000,
  } = options
  const server = new RegisteringServer({
    // The first stands next to the wire.
    interceptors: [intercept, ...interceptors],
    'grpc.max_concurrent_streams': requireNumber('serve: maxConcurrentStreams', maxConcurrentStreams, { min: 1, max: 1_000_000 }),
    'grpc.max_receive_message_length': requireNumber('serve: maxMessageBytes', maxMessageBytes, { min: 1, max: 2 ** 31 - 1 }),
    'grpc.max_send_message_length': maxMessageBytes,
    'grpc.max_connection_idle_ms': requireNumber('serve: idleTimeoutMs', idleTimeoutMs, { min: 1, max: 86_400_000 }),
    // Its bookkeeping is for a debugging service that is not there.
    'grpc.enable_channelz': 0,
    ...keepAlive,
  })
  for (const { definition, implementation } of services) server.addService(definition, implementation)
  register?.(server)
  const renew: handleUnaryCall<object, object> = (_call, answer) => answer(null, {})
  server.register(renewalPath, renew, empty.serialize, empty.deserialize, 'unary')
  return server
}

function listen(front: TlsServer, { port, host }: { readonly port: number; readonly host: string }): Promise<number> {
  return new Promise((resolve, reject) => {
    front.once('error', reject)
    front.listen(port, host, () => {
      front.off('error', reject)
      resolve((front.address() as AddressInfo).port)
    })
  })
}

function settingsOf<P extends Principal | Anonymous>(options: ServeOptions<P>) {
  checkOptions<ServeOptions<P>>('serve', options, {
    tls: true,
    guard: true,
    services: true,
    register: true,
    guards: true,
    interceptors: true,
    carriers: true,
    port: true,
    host: true,
    origin: true,
    maxConnections: true,
    maxConcurrentStreams: true,
    maxMessageBytes: true,
    idleTimeoutMs: true,
    maxSessionMs: true,
    graceMs: true,
  })
  const guard: Guard = requireGuard('serve', options.guard)
  const { maxConnections = 10_000, origin, register, services = [] } = options
  if (register !== undefined) requireFunction('serve: register', register)
  if (origin !== undefined && !(URL.canParse(origin) && new URL(origin).origin === origin))
    throw new ConfigurationError('ERR_OPTION_INVALID', `serve: "${origin}" is no origin such as https://orders.example.`)
  // Maps, so that no name resolves to something inherited.
  const methods = new Map(services.flatMap((one) => [...one.guards]))
  const levels = new Map<string, Guard>()
  for (const [name, own] of Object.entries(options.guards ?? {}))
    levels.set(name, requireGuard<Principal | Anonymous>(`serve: the guard of "${name}"`, own))
  const calls: CallSettings = { carriers: carriersOf(options.carriers ?? {}), maxSessionMs: options.maxSessionMs, graceMs: options.graceMs }
  // A year is more than any stream should live; the bounds of `AuthSession`, at construction rather than at the first stream.
  if (options.maxSessionMs !== undefined) requireNumber('serve: maxSessionMs', options.maxSessionMs, { min: 1, max: 366 * 86_400_000 })
  if (options.graceMs !== undefined) requireNumber('serve: graceMs', options.graceMs, { min: 0, max: maxGraceMs })
  return {
    guard,
    calls,
    port: requireNumber('serve: port', options.port ?? 0, { min: 0, max: 65_535 }),
    // An empty one would be every address of the machine.
    host: requireText('serve: host', options.host ?? '127.0.0.1'),
    maxConnections: requireNumber('serve: maxConnections', maxConnections, { min: 1, max: 1_000_000 }),
    guardOf: (path: string): Guard => methods.get(path) ?? levels.get(path) ?? levels.get(serviceOf(path)) ?? guard,
    checkGuards(paths: ReadonlySet<string>): void {
      const known = new Set([...paths, ...Array.from(paths, serviceOf)])
      for (const name of levels.keys())
        if (!known.has(name) || methods.has(name))
          throw new ConfigurationError<GrpcErrorCode>('ERR_GRPC_METHOD_UNKNOWN', `serve: "register" adds nothing of the name "${name}".`)
    },
  }
}

function serviceOf(path: string): string {
  return path.slice(1, path.lastIndexOf('/'))
}

function carriersOf(carriers: Carriers): Carriers {
  const checked: Record<string, Carriers[string]> = Object.create(null) as Record<string, Carriers[string]>
  for (const [name, kind] of Object.entries(carriers)) {
    if (!/^[0-9a-z_.-]+$/.test(name) || /^(?:grpc-|authorization$|dpop$)|-bin$/.test(name) || name === renewalKey)
      throw new ConfigurationError('ERR_OPTION_INVALID', `serve: "${name}" is no metadata that can carry a credential.`)
    if (kind !== 'bearer' && kind !== 'apiKey')
      throw new ConfigurationError('ERR_OPTION_INVALID', `serve: "${name}" carries "bearer" or "apiKey".`)
    checked[name] = kind
  }
  return Object.freeze(checked)
}
