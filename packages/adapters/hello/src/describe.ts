import type { AccessRequest, Credential, PeerChannel } from '@portcullis/core'
import { peerCertificateOf, type ServerTlsBundle } from '@portcullis/tls'
import type { TLSSocket } from 'node:tls'

/** What is known of a connection for all of its lines: facts of the socket, never of what the peer writes. */
export function channelOf(socket: TLSSocket, tls: ServerTlsBundle): PeerChannel {
  const certificate = peerCertificateOf(socket, tls)
  const { remoteAddress, servername } = socket as TLSSocket & { readonly servername?: unknown } // The type lacks it; false if the client sent none.
  return {
    from: 'peer',
    protocol: 'hello',
    secure: true,
    ...(remoteAddress !== undefined && { remoteAddress }),
    ...(typeof servername === 'string' && { serverName: servername }),
    ...(certificate && { certificate }),
  }
}

/** A line, in no protocol's words. */
export function describe(channel: PeerChannel, credentials: readonly Credential[], action: string, resource: string): AccessRequest {
  return { credentials, action, resource, attributes: {}, channel }
}
