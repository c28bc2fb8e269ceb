import { once } from 'node:events'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectSecure } from 'node:tls'

import type { PeerSetup } from './harness.ts'

/**
 * Opens the socket of a bare peer, with its certificate and its trust, or without TLS where that is what it does. For
 * {@link Listening.peer}; `alpn` where the protocol needs it.
 *
 * Errors of the socket are dropped, since a connection that is cut is an outcome: watch for its `close`.
 */
export async function connectBare(
  { identity, trust, serverName, plaintext }: PeerSetup,
  port: number,
  alpn?: readonly string[],
): Promise<Socket> {
  const socket = plaintext
    ? connectPlain(port, '127.0.0.1')
    : connectSecure({
        host: '127.0.0.1',
        port,
        ca: trust,
        servername: serverName,
        ...(identity && { cert: identity.pem, key: identity.pem }),
        ...(alpn && { ALPNProtocols: [...alpn] }),
      })
  // In TLS 1.3 a refused client certificate shows only after the handshake, possibly before anybody reads.
  socket.on('error', () => undefined)
  await once(socket, plaintext ? 'connect' : 'secureConnect')
  return socket
}
