import { attachClient, secureClientOptions, type ClientTlsBundle } from '@portcullis/tls'
import type { Base, ConnectionOptions } from '@platformatic/kafka'
import { TLSSocket } from 'node:tls'

/** Options of {@link ssl}. */
export interface SslOptions {
  /** The name that every broker's certificate must hold, where it is not the host. */
  readonly serverName?: string
  /** Whether brokers are named by address: then no server name is sent (RFC 6066 section 3), and the certificate must hold the address. Default: false. */
  readonly byAddress?: boolean
}

/**
 * The TLS options of a `Producer`, `Consumer` or `Admin` of `@platformatic/kafka`, to spread into its options. Key pair and
 * trust anchors are those that the bundle holds when a connection is made, so a certificate that was exchanged is in use
 * from the next one on. The name of every broker is compared with its certificate.
 *
 * Connections that are open when a trust anchor leaves live on, unless {@link cutUntrusted} watches them.
 */
export function ssl(bundle: ClientTlsBundle, options: SslOptions = {}): Pick<ConnectionOptions, 'tls' | 'tlsServerName'> {
  const { serverName, byAddress = false } = options
  const now = (host: string): ReturnType<typeof secureClientOptions> =>
    secureClientOptions(bundle, { host, ...(serverName !== undefined && { serverName }) })
  // Fails here and not at the first connection.
  now('localhost')
  return {
    // The library spreads these at each connection, and so asks the getters at each.
    tls: {
      get secureContext() {
        return now('localhost').secureContext
      },
      get rejectUnauthorized() {
        return now('localhost').rejectUnauthorized
      },
      // The runtime calls it with the name that was connected to.
      checkServerIdentity: (host, certificate) => now(host).checkServerIdentity?.(host, certificate),
    },
    tlsServerName: serverName ?? !byAddress,
  }
}

/** Cuts the connections of a client a second after a broker's certificate is no longer trusted by the bundle. */
export function cutUntrusted(client: Base, bundle: ClientTlsBundle): void {
  client.on('client:broker:connect', ({ connection }) => {
    if (connection.socket instanceof TLSSocket) attachClient(connection.socket, bundle)
  })
}
