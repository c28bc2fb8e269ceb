import type { Server as HttpsServer } from 'node:https'
import type { Http2SecureServer } from 'node:http2'
import type { SecureContext, Server, TlsOptions as NodeServerOptions, TLSSocket } from 'node:tls'

import { stateOf, type BundleState, type ServerTlsBundle } from './bundle.ts'
import { TlsPeerError, type TlsErrorCode } from './errors.ts'
import { judge } from './peer.ts'
import { graceMs } from './trust.ts'

/** What depends on the protocol that is spoken above TLS. */
export interface ServerProtocol {
  /** The application protocols on offer, in order of preference (RFC 7301), such as `['h2', 'http/1.1']`. A client that offers others only is refused by an alert. */
  readonly alpn?: readonly [string, ...string[]]
}

/**
 * What `tls.createServer`, `https.createServer` and `http2.createSecureServer` take. The server must then be given to
 * {@link attach}, which keeps it up to date and refuses what must be refused.
 */
export function secureServerOptions(bundle: ServerTlsBundle, protocol: ServerProtocol = {}): NodeServerOptions {
  const state = stateOf('secureServerOptions()', bundle, 'server')
  const { settings } = state
  return {
    ...contextOptions(state),
    requestCert: settings.clientCertificates !== 'none',
    // Where a certificate is optional the runtime would refuse its absence too; `attach` refuses what does not hold.
    rejectUnauthorized: settings.clientCertificates === 'require',
    handshakeTimeout: settings.handshakeTimeoutMs,
    SNICallback: (serverName, answer) => answer(null, contextFor(state, serverName)),
    ...(protocol.alpn && { ALPNProtocols: [...protocol.alpn] }),
  }
}

/** Servers of `node:tls` and what is made of them. */
export type SecureServer = Server | HttpsServer | Http2SecureServer

/**
 * Keeps a server that was made with {@link secureServerOptions} of the same bundle in step with it, until the server
 * closes or the function returned is called:
 *
 * - a reload gives it the new key pairs, trust anchors and ticket keys at once;
 * - a connection whose certificate does not hold, or is missing where one is required, is destroyed before a handler
 *   sees it (on some runtimes a resumed session would pass without any: nodejs/node#35317);
 * - when a trust anchor leaves the bundle, connections whose certificate ended in it are cut, a second later;
 * - a handshake that fails or takes too long ends its connection, and is told to the bundle's subscribers.
 */
export function attach(server: SecureServer, bundle: ServerTlsBundle): () => void {
  const state = stateOf('attach()', bundle, 'server')
  const swapped = (): void => server.setSecureContext(contextOptions(state))
  const secured = (socket: TLSSocket): void => {
    const judgement = judge(socket, state)
    if ('refused' in judgement) {
      tell(state, server, socket, judgement.refused)
      socket.destroy()
      return
    }
    if (judgement.certificate !== undefined) cutWhenRevoked(socket, judgement.certificate.anchor, state)
  }
  const failed = (error: Error & { code?: string }, socket: TLSSocket): void => {
    tell(state, server, socket, handshakeError(error, socket, state))
    // The runtime tells of a handshake that takes too long, and leaves the connection open.
    socket.destroy()
  }
  const detach = (): void => {
    state.swapped.delete(swapped)
    server.off('secureConnection', secured)
    server.off('tlsClientError', failed)
  }
  swapped()
  state.swapped.add(swapped)
  // Before every other listener, so that nobody reads from a connection that is refused.
  server.prependListener('secureConnection', secured)
  server.on('tlsClientError', failed)
  server.once('close', detach)
  return detach
}

function contextOptions({ generation }: BundleState): NodeServerOptions {
  return { ...generation.contextOptions, ticketKeys: generation.ticketKeys }
}

/** The context for a server name; undefined leaves the default one. Names are looked up in a map, so that none resolves to something inherited. */
function contextFor({ generation: { serverNames } }: BundleState, serverName: string): SecureContext | undefined {
  const name = serverName.toLowerCase()
  return serverNames.get(name) ?? serverNames.get(`*${name.slice(name.indexOf('.'))}`)
}

function cutWhenRevoked(socket: TLSSocket, thumbprint: string, state: BundleState): void {
  const anchor = state.generation.trust.anchors.get(thumbprint)
  if (anchor === undefined) return void socket.destroy()
  const onRevoked = (): void => {
    const timer = state.settings.clock.schedule(graceMs, () => socket.destroy())
    socket.once('close', () => timer.cancel())
  }
  anchor.revocation.subscribe(onRevoked)
  socket.once('close', () => anchor.revocation.unsubscribe(onRevoked))
}

function handshakeError(error: Error & { code?: string }, socket: TLSSocket, state: BundleState): TlsPeerError {
  if (error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') return new TlsPeerError('ERR_TLS_HANDSHAKE_TIMEOUT', error)
  if (error.code === 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE') return new TlsPeerError('ERR_TLS_PEER_MISSING', error)
  if (state.settings.clientCertificates !== 'none' && socket.authorizationError) {
    return new TlsPeerError(verificationCodes.get(String(socket.authorizationError)) ?? 'ERR_TLS_PEER_UNTRUSTED', socket.authorizationError)
  }
  return new TlsPeerError('ERR_TLS_HANDSHAKE', error)
}

// The runtime's words for what its verification found; the others say that the chain leads nowhere.
const verificationCodes: ReadonlyMap<string, TlsErrorCode> = new Map([
  ['CERT_HAS_EXPIRED', 'ERR_TLS_PEER_OUT_OF_DATE'],
  ['CERT_NOT_YET_VALID', 'ERR_TLS_PEER_OUT_OF_DATE'],
  ['INVALID_PURPOSE', 'ERR_TLS_PEER_USAGE'],
])

function tell(state: BundleState, server: SecureServer, socket: TLSSocket, error: TlsPeerError): void {
  const { servername } = socket as TLSSocket & { servername?: unknown } // The type lacks it; false if the client sent none.
  state.tell({
    type: 'handshakeRefused',
    server,
    code: error.code,
    error,
    remoteAddress: socket.remoteAddress,
    serverName: typeof servername === 'string' ? servername : undefined,
  })
}
