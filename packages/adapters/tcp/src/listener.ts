import {
  AuthSession,
  checkOptions,
  ConfigurationError,
  isSecurityError,
  maxGraceMs,
  requireFunction,
  requireGuard,
  requireNumber,
  requireText,
  type Anonymous,
  type Guard,
  type Principal,
} from '@portcullis/core'
import { attach, isTlsBundle, secureServerOptions, tlsBundle, type ServerTlsBundle, type ServerTlsOptions } from '@portcullis/tls'
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer, type TLSSocket } from 'node:tls'
import { channelOf, credentialsOf, describe } from './describe.ts'
import { readFirstLine } from './first-line.ts'
import { close, endings, flushMs, refusals } from './refuse.ts'

/** What {@link serve} takes. */
export interface ServeOptions<P extends Principal | Anonymous = Principal> {
  /** The listener's key pair, and whether and whose client certificates it takes. */
  readonly tls: ServerTlsBundle | ServerTlsOptions
  readonly guard: Guard<P>
  /**
   * How a peer presents itself: by its `certificate` alone, or by a `firstLine` with the text of an `Authorization`
   * field (`Bearer …`, `Basic …`) before the application's own bytes. There is no default, since both ends must agree.
   */
  readonly credentials: 'certificate' | 'firstLine'
  /** What the listener offers, for the policy and the audit trail. Default: `tcp`. */
  readonly resource?: string
  /** Default: one that is free. */
  readonly port?: number
  /** Default: loopback, so that nothing is open to others by accident. */
  readonly host?: string
  /** How long a peer may take from the handshake to the end of its first line, in milliseconds. Default: 10,000, a very bad line. */
  readonly firstLineTimeoutMs?: number
  /** How long a connection may be silent in both directions. Default: 300,000, as in the original (T-2). */
  readonly idleTimeoutMs?: number
  /** Default: 10,000; each holds a socket and a session, some tens of kilobytes. */
  readonly maxConnections?: number
  /** See `AuthSession` of `@portcullis/core`: the longest life of a connection whose principal has no expiry. */
  readonly maxSessionMs?: number
  /** See `AuthSession`: how long after expiry a connection may live on. */
  readonly graceMs?: number
}

/** A proven connection, as the handler gets it. */
export interface TcpConnection<P extends Principal | Anonymous = Principal> {
  /** The stream of the application's bytes; what came behind the first line is still in it. */
  readonly socket: TLSSocket
  /** Its clock and principal. The connection closes when it ends; `session.authorize` judges single actions. */
  readonly session: AuthSession<P>
}

/** A listener that runs. */
export interface TcpListener {
  readonly port: number
  /** Flushes and closes every connection, and the listener. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Opens a TLS listener whose connections are judged by a guard before the handler sees a byte, and end when their
 * principal does: at expiry what was written is flushed, after a revocation nothing is.
 *
 * A raw stream has no words for a challenge and no place for a second credential: who is refused is closed without an
 * answer, and there is no re-authentication in band; a client connects anew ahead of expiry. Throws
 * `ERR_GUARD_MISSING` without a guard, what `tlsBundle` throws, and the system's error if the address cannot be had.
 */
export async function serve<P extends Principal | Anonymous>(
  options: ServeOptions<P>,
  handler: (connection: TcpConnection<P>, principal: P) => unknown,
): Promise<TcpListener> {
  const settings = settingsOf(options)
  const guard = requireGuard('serve', options.guard)
  requireFunction('serve: the handler', handler)
  const tls = await tlsBundle(options.tls)
  const sessions = new Map<TLSSocket, AuthSession<P> | undefined>()

  const take = async (socket: TLSSocket): Promise<void> => {
    socket.on('error', () => undefined)
    // Its handshake ended after the listener did.
    if (!server.listening) return close(socket, 'cut')
    socket.setTimeout(settings.idleTimeoutMs, () => close(socket, 'cut'))
    sessions.set(socket, undefined)
    socket.once('close', () => {
      sessions.get(socket)?.close()
      sessions.delete(socket)
    })
    const channel = channelOf(socket, tls)
    const line = settings.credentials === 'firstLine' ? await readFirstLine(socket, guard.clock, settings.firstLineTimeoutMs) : ''
    const request = describe(channel, credentialsOf(line), settings.resource)
    const decision = await guard.decide(request)
    if (socket.destroyed) return
    if (decision.outcome !== 'allow') return close(socket, refusals[decision.reason])
    const session = new AuthSession<P>({
      guard,
      principal: decision.principal,
      action: request,
      protocol: 'tcp',
      onEnd: (reason) => close(socket, endings[reason]),
      ...(channel.remoteAddress !== undefined && { remoteAddress: channel.remoteAddress }),
      ...(options.maxSessionMs !== undefined && { maxSessionMs: options.maxSessionMs }),
      ...(options.graceMs !== undefined && { graceMs: options.graceMs }),
    })
    sessions.set(socket, session)
    if (session.ended === undefined) await handler({ socket, session }, decision.principal)
  }

  const server = createServer({ ...secureServerOptions(tls), pauseOnConnect: false }, (socket) => {
    take(socket).catch((cause: unknown) => {
      const code = sessions.get(socket) === undefined && isSecurityError(cause) ? cause.code : 'ERR_TCP_HANDLER'
      guard.report({ type: 'warning', protocol: 'tcp', code, cause })
      close(socket, 'cut')
    })
  })
  server.maxConnections = settings.maxConnections
  // Below TLS, so that those which are still in their handshake are among them.
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  attach(server, tls)
  // What happens before the guard belongs into the same audit trail.
  const unsubscribe = tls.subscribe((event) => {
    if (event.type !== 'handshakeRefused' || event.server !== server) return
    guard.report({
      type: event.type,
      protocol: 'tcp',
      code: event.code,
      cause: event.error,
      ...(event.remoteAddress !== undefined && { remoteAddress: event.remoteAddress }),
    })
  })

  const shutDown = async (): Promise<void> => {
    unsubscribe()
    const closed = once(server, 'close')
    server.close()
    for (const [socket, session] of sessions) {
      if (session === undefined) close(socket, 'cut')
      else session.close('shutdown')
    }
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, flushMs)
    await closed
    clearTimeout(timer)
    // Who makes a bundle closes it.
    if (!isTlsBundle(options.tls)) tls.close()
  }
  try {
    server.listen(settings.port, settings.host)
    await once(server, 'listening')
  } catch (error) {
    await shutDown()
    throw error
  }
  return { port: (server.address() as AddressInfo).port, close: shutDown, [Symbol.asyncDispose]: shutDown }
}

function settingsOf<P extends Principal | Anonymous>(options: ServeOptions<P>) {
  checkOptions<ServeOptions<P>>('serve', options, {
    tls: true,
    guard: true,
    credentials: true,
    resource: true,
    port: true,
    host: true,
    firstLineTimeoutMs: true,
    idleTimeoutMs: true,
    maxConnections: true,
    maxSessionMs: true,
    graceMs: true,
  })
  const { credentials, firstLineTimeoutMs = 10_000, idleTimeoutMs = 300_000, maxConnections = 10_000 } = options
  if (credentials !== 'certificate' && credentials !== 'firstLine')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'serve: credentials must be "certificate" or "firstLine".')
  // A year is more than any connection should live; the bounds of `AuthSession`, at construction rather than at the first peer.
  if (options.maxSessionMs !== undefined) requireNumber('serve: maxSessionMs', options.maxSessionMs, { min: 1, max: 366 * 86_400_000 })
  if (options.graceMs !== undefined) requireNumber('serve: graceMs', options.graceMs, { min: 0, max: maxGraceMs })
  return {
    credentials,
    resource: requireText('serve: resource', options.resource ?? 'tcp'),
    port: requireNumber('serve: port', options.port ?? 0, { min: 0, max: 65_535 }),
    // An empty one would be every address of the machine.
    host: requireText('serve: host', options.host ?? '127.0.0.1'),
    firstLineTimeoutMs: requireNumber('serve: firstLineTimeoutMs', firstLineTimeoutMs, { min: 1, max: 60_000 }),
    idleTimeoutMs: requireNumber('serve: idleTimeoutMs', idleTimeoutMs, { min: 1, max: 86_400_000 }),
    maxConnections: requireNumber('serve: maxConnections', maxConnections, { min: 1, max: 1_000_000 }),
  }
}
