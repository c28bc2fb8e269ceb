import { parseAuthorization, type AccessRequest, type Credential, type PeerChannel } from '@portcullis/core'
import { peerCertificateOf, type ServerTlsBundle } from '@portcullis/tls'
import type { TLSSocket } from 'node:tls'

/** What is known of a connection: facts of the socket, never of what the peer writes. */
export function channelOf(socket: TLSSocket, tls: ServerTlsBundle): PeerChannel {
  const certificate = peerCertificateOf(socket, tls)
  const { remoteAddress, servername } = socket as TLSSocket & { readonly servername?: unknown } // The type lacks it; false if the client sent none.
  return {
    from: 'peer',
    protocol: 'tcp',
    secure: true,
    ...(remoteAddress !== undefined && { remoteAddress }),
    ...(typeof servername === 'string' && { serverName: servername }),
    ...(certificate && { certificate }),
  }
}

/** The first line as credentials; an empty one presents nothing. */
export function credentialsOf(line: string): readonly Credential[] {
  return line === '' ? [] : [parseAuthorization(line)]
}

/** A connection, in no protocol's words. */
export function describe(channel: PeerChannel, credentials: readonly Credential[], resource: string): AccessRequest {
  return { credentials, action: 'connect', resource, attributes: {}, channel }
}
