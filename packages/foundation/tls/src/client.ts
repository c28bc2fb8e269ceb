import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import {
  connect as tlsConnect,
  createSecureContext,
  type ConnectionOptions,
  type PeerCertificate as NodePeerCertificate,
  type SecureContext,
  type TLSSocket,
} from 'node:tls'

import { type CoreErrorCode, isSecurityError, requireNumber, requireText, UnavailableError } from '@portcullis/core'

import { stateOf, type BundleState, type ClientTlsBundle, type Generation } from './bundle.ts'
import { TlsPeerError, tlsErrorCodes, type TlsErrorCode } from './errors.ts'
import { anchorsOf, chainAbove, graceMs } from './trust.ts'

/** Which server is meant, and what is spoken above TLS. */
export interface ServerAddress {
  /** The host that is connected to, a name or an address. */
  readonly host: string
  /** The name that the server is asked for (SNI) and that its certificate must hold, where it is not `host`. */
  readonly serverName?: string
  /** The application protocols on offer, in order of preference (RFC 7301). */
  readonly alpn?: readonly [string, ...string[]]
}

/** What `tls.connect`, `https.Agent`, `https.request` and `http2.connect` take. */
export type SecureClientOptions = ConnectionOptions & { readonly maxCachedSessions?: number }

/**
 * What `tls.connect`, `https.Agent`, `https.request` and `http2.connect` take to reach one server. Make it anew for
 * each connection, or again after each `reloaded` event: it holds what is in use at this moment.
 *
 * The certificate must hold the name as an alternative name (RFC 9525 section 6.3): the common name is no host name.
 * A session that is taken up again was made with the same name; the runtime does not compare it twice, so a cache of
 * sessions must be kept by name.
 */
export function secureClientOptions(bundle: ClientTlsBundle, address: ServerAddress): SecureClientOptions {
  const state = stateOf('secureClientOptions()', bundle, 'client')
  const { settings, generation } = state
  const host = requireText('secureClientOptions(): host', address.host)
  const name = address.serverName === undefined ? host : requireText('secureClientOptions(): serverName', address.serverName)
  return {
    host,
    // RFC 6066 section 3 allows no address here; the empty text keeps callers above from putting in their own.
    servername: isIP(name) === 0 ? name : '',
    secureContext: contextOf(generation),
    rejectUnauthorized: settings.verifyServer,
    checkServerIdentity: settings.verifyHostName ? (_host, certificate) => nameProblem(name, certificate) : () => undefined,
    ...(address.alpn && { ALPNProtocols: [...address.alpn] }),
    // An agent puts in a session that it remembers; the absent one takes its place.
    ...(!settings.resumption && { maxCachedSessions: 0, session: undefined }),
  }
}

/** A server's address and port. */
export interface ConnectTlsOptions extends ServerAddress {
  readonly port: number
  readonly signal?: AbortSignal
}

/**
 * Opens a connection, for protocols that speak on a bare socket. It is verified when the promise resolves, speaks one
 * of the application protocols that were offered, and is cut as {@link attachClient} says.
 *
 * Rejects with `ERR_TLS_HOST_NAME`, `ERR_TLS_SERVER_UNTRUSTED` or `ERR_TLS_ALPN` for a server that is not the one
 * meant; with `ERR_TLS_CONNECT` or `ERR_TLS_HANDSHAKE_TIMEOUT` (outages) if there is no answer in time; with core's
 * `ERR_ABORTED` when `signal` aborts. That a server
 * refuses the client's own certificate shows in TLS 1.3 only with the first data.
 */
export async function connectTls(bundle: ClientTlsBundle, options: ConnectTlsOptions): Promise<TLSSocket> {
  const { port, signal, ...address } = options
  const state = stateOf('connectTls()', bundle, 'client')
  requireNumber('connectTls(): port', port, { min: 1, max: 65_535 })
  const sessions = sessionsOf(state)
  const key = JSON.stringify([address.host, port, address.serverName, address.alpn])
  // A ticket is used once, so that nobody on the way can tell that two connections are one client's (RFC 8446 appendix C.4).
  const session = sessions?.get(key)?.pop()
  const socket = tlsConnect({ ...secureClientOptions(bundle, address), port, ...(session && { session }) })
  if (sessions !== undefined) socket.on('session', (fresh) => remember(sessions, key, fresh))
  try {
    await secured(socket, state, signal)
  } catch (error) {
    socket.on('error', () => undefined).destroy()
    throw error
  }
  if (address.alpn !== undefined && !address.alpn.includes(socket.alpnProtocol || '')) {
    socket.destroy()
    throw new TlsPeerError('ERR_TLS_ALPN')
  }
  attachClient(socket, bundle)
  return socket
}

/**
 * Cuts a client's connection a second after the server's certificate is no longer trusted by the bundle, which may
 * happen at a reload. For connections that were opened with {@link secureClientOptions} by a library, as soon as they
 * are secure; {@link connectTls} does it by itself. Without trust anchors of its own a bundle has nothing to look at.
 */
export function attachClient(socket: TLSSocket, bundle: ClientTlsBundle): void {
  const state = stateOf('attachClient()', bundle, 'client')
  // The runtime does not tell it for a session that was taken up again; such a connection ends with any change of trust.
  const leaf = socket.getPeerX509Certificate()
  if (state.settings.trust.size === 0) return
  let { fingerprint } = state.generation.trust
  const swapped = (): void => {
    const { trust } = state.generation
    if (trust.fingerprint === fingerprint) return
    fingerprint = trust.fingerprint
    if (leaf !== undefined && (anchorsOf(leaf, chainAbove(leaf), trust, state.settings.clock.now()) ?? []).length > 0) return
    const timer = state.settings.clock.schedule(graceMs, () => socket.destroy())
    socket.once('close', () => timer.cancel())
  }
  state.swapped.add(swapped)
  socket.once('close', () => state.swapped.delete(swapped))
}

async function secured(socket: TLSSocket, { settings }: BundleState, signal: AbortSignal | undefined): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const aborted = (): void =>
    reject(new UnavailableError<CoreErrorCode>('ERR_ABORTED', { message: 'The caller gave up.', cause: signal?.reason }))
  if (signal?.aborted) aborted()
  const failed = (error: Error): void => reject(connectError(error, socket))
  const timer = settings.clock.schedule(settings.handshakeTimeoutMs, () =>
    reject(new UnavailableError<TlsErrorCode>('ERR_TLS_HANDSHAKE_TIMEOUT', tlsErrorCodes.ERR_TLS_HANDSHAKE_TIMEOUT)),
  )
  socket.once('secureConnect', resolve).once('error', failed)
  signal?.addEventListener('abort', aborted)
  try {
    await promise
  } finally {
    timer.cancel()
    socket.off('error', failed)
    signal?.removeEventListener('abort', aborted)
  }
}

function connectError(error: Error & { code?: unknown }, { authorizationError }: TLSSocket): Error {
  if (isSecurityError(error)) return error
  // What the runtime's verification found is the very error; everything else is a network's or an alert of the server.
  if (authorizationError) return new TlsPeerError('ERR_TLS_SERVER_UNTRUSTED', error)
  return new UnavailableError<TlsErrorCode>('ERR_TLS_CONNECT', { message: tlsErrorCodes.ERR_TLS_CONNECT, cause: error })
}

// Sessions are of the generation in which they were made: after a reload none of before is taken up.
const sessionsByGeneration = new WeakMap<Generation, Map<string, Buffer[]>>()
// A client speaks to few servers; a session is two kilobytes or, with a long chain, ten.
const maxServers = 100
// As many as a server hands out after one handshake.
const maxSessionsOfServer = 2

function sessionsOf({ settings, generation }: BundleState): Map<string, Buffer[]> | undefined {
  if (!settings.resumption) return undefined
  let sessions = sessionsByGeneration.get(generation)
  if (sessions === undefined) sessionsByGeneration.set(generation, (sessions = new Map()))
  return sessions
}

function remember(sessions: Map<string, Buffer[]>, key: string, session: Buffer): void {
  const ofServer = sessions.get(key) ?? []
  sessions.delete(key)
  sessions.set(key, [...ofServer, session].slice(-maxSessionsOfServer))
  const [oldest] = sessions.keys()
  if (sessions.size > maxServers && oldest !== undefined) sessions.delete(oldest)
}

// A context is made once for each generation: parsing the trust anchors takes milliseconds.
const contexts = new WeakMap<Generation, SecureContext>()

function contextOf(generation: Generation): SecureContext {
  let context = contexts.get(generation)
  if (context === undefined) contexts.set(generation, (context = createSecureContext(generation.contextOptions)))
  return context
}

function nameProblem(name: string, { raw }: NodePeerCertificate): TlsPeerError | undefined {
  const certificate = new X509Certificate(raw)
  const matches = isIP(name) === 0 ? certificate.checkHost(name, { subject: 'never', partialWildcards: false }) : certificate.checkIP(name)
  return matches === undefined ? new TlsPeerError('ERR_TLS_HOST_NAME') : undefined
}
