import { requireText, type Supplied } from '@portcullis/core'
import { secureClientOptions, type ClientTlsBundle } from '@portcullis/tls'
import { isIP } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import { present, type NatsAuth } from './present.ts'
import { serversOf } from './servers.ts'

/** What {@link natsOptions} takes. */
export interface NatsOptionsInit {
  /** `tls://nats.example:4222`, one or several of a cluster. */
  readonly servers: string | readonly [string, ...string[]]
  readonly tls: ClientTlsBundle
  /** The credential worth sending now: a `keepWarm` of core. Absent where the certificate is all that the server asks for. */
  readonly credentials?: { current(): Supplied }
  /** The name in the certificates of all servers, where it is not the host of the URL. */
  readonly serverName?: string
  /** For servers that begin with TLS and greet inside (`handshake_first`). */
  readonly handshakeFirst?: boolean
}

/** TLS for the library: read anew at each connection, so that a reconnection has the certificates of that moment. */
export type NatsTls = { readonly handshakeFirst: boolean; readonly rejectUnauthorized: boolean } & Pick<
  ConnectionOptions,
  'secureContext' | 'checkServerIdentity' | 'servername'
>

/** The options of the library that this package is about. */
export interface NatsOptions {
  servers: string[]
  tls: NatsTls
  authenticator?: (nonce?: string) => NatsAuth
}

/**
 * The pieces alone, for whoever has the library already: `connect({ ...natsOptions(…), name: 'mine' })`, of
 * `@nats-io/transport-node` 3 and of `nats` 2. Certificates and the credential are read anew at each (re)connection;
 * when to reconnect, and what a failure means, is then the caller's.
 *
 * A server without TLS is refused by the library, since `tls` is given. A certificate must hold the name of one of the
 * `servers`, or `serverName`.
 */
export function natsOptions({ servers, tls, credentials, serverName, handshakeFirst = false }: NatsOptionsInit): NatsOptions {
  const known = serversOf(servers)
  const names = serverName === undefined ? known.map(({ host }) => host) : [requireText('natsOptions: serverName', serverName)]
  return {
    servers: known.map(({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${port}`),
    tls: tlsOf(tls, names, handshakeFirst),
    ...(credentials !== undefined && {
      authenticator: (nonce?: string) => present(credentials.current().credential, nonce),
    }),
  }
}

function tlsOf(bundle: ClientTlsBundle, names: readonly string[], handshakeFirst: boolean): NatsTls {
  const [first = ''] = names
  // The library copies these for each connection, so what is behind a getter is as new as the connection.
  return {
    handshakeFirst,
    get secureContext() {
      return secureClientOptions(bundle, { host: first }).secureContext
    },
    get rejectUnauthorized() {
      return secureClientOptions(bundle, { host: first }).rejectUnauthorized !== false
    },
    // With several names the library asks for the one that it connects to; for an address it would compare with "localhost".
    ...(new Set(names).size === 1 && { servername: isIP(first) === 0 ? first : '' }),
    checkServerIdentity(host, certificate) {
      let problem: Error | undefined
      for (const name of names) {
        problem = secureClientOptions(bundle, { host: name }).checkServerIdentity?.(host, certificate)
        if (problem === undefined) return undefined
      }
      return problem
    },
  }
}
