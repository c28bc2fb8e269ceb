import {
  checkOptions,
  ConfigurationError,
  requireFunction,
  requireNumber,
  requireText,
  systemClock,
  type Clock,
  type CredentialSource,
} from '@portcullis/core'
import { isTlsBundle, tlsBundle, type ClientTlsBundle, type ClientTlsOptions } from '@portcullis/tls'
import type { NatsConnection } from '@nats-io/transport-node'
import { openConnection } from './connection.ts'
import { natsOptions } from './options.ts'
import { serversOf } from './servers.ts'

/** What {@link client} takes. */
export interface ClientOptions {
  /** `tls://nats.example:4222`, one or several of a cluster. The first is the target of the source. */
  readonly servers: string | readonly [string, ...string[]]
  /** Whom it trusts, and its own key pair if it has one. */
  readonly tls: ClientTlsBundle | ClientTlsOptions
  /**
   * Yields name and password, a token, an NKey or a user JWT; asked anew for each connection, ahead of each expiry, and
   * when the server refuses what it has. `certificate`: the server knows the client by its certificate (`verify_and_map`).
   */
  readonly credentials: CredentialSource | 'certificate'
  /** The name in the certificates of all servers, where it is not the host of their URLs. */
  readonly serverName?: string
  /** For servers that begin with TLS and greet inside (`handshake_first`). Default: false; the greeting, which holds no secret, comes in the clear. */
  readonly handshakeFirst?: boolean
  /** What the server shows of this connection in its reports. */
  readonly name?: string
  /** Where answers to requests arrive; a user who may subscribe only there cannot read those of others. Default: `_INBOX`. */
  readonly inboxPrefix?: string
  /** How long a server may take to open a connection, in milliseconds. Default: 10,000. */
  readonly timeoutMs?: number
  /** A connection that is dead is noticed within three of these, in milliseconds. Default: 10,000. */
  readonly pingIntervalMs?: number
  readonly clock?: Clock
  /** Hears of renewals that failed and will be tried again, and of why reconnections fail. */
  readonly onWarning?: (error: Error) => void
}

/** The way to a server or cluster. It holds no connection; producers, consumers and the like open their own. */
export interface NatsClient {
  /** The first server as target of sources: `tls://nats.example:4222`. */
  readonly origin: string
  readonly clock: Clock
  /**
   * Opens a connection of `@nats-io/transport-node`, for whoever wants the library itself: with a fresh credential, over
   * verified TLS; it reconnects ahead of each expiry, when certificates change, and when the server ends it. It closes
   * when the server refuses the credential and the source has no other. Rejects with a `SecurityError` that says what
   * the failure means; a refused client certificate shows only after `timeoutMs`.
   */
  open(): Promise<NatsConnection>
  /** Gives up the bundle, if the client made it. Connections are closed by whoever opened them. */
  close(): void
}

/** Makes a client. Opens nothing yet; rejects with what `tlsBundle` rejects with. */
export async function client(options: ClientOptions): Promise<NatsClient> {
  checkOptions<ClientOptions>('client', options, {
    servers: true,
    tls: true,
    credentials: true,
    serverName: true,
    handshakeFirst: true,
    name: true,
    inboxPrefix: true,
    timeoutMs: true,
    pingIntervalMs: true,
    clock: true,
    onWarning: true,
  })
  const { credentials, serverName, handshakeFirst, name, inboxPrefix, timeoutMs = 10_000, pingIntervalMs = 10_000, onWarning } = options
  const { clock = systemClock } = options
  const servers = serversOf(options.servers)
  const source = credentials === 'certificate' ? undefined : requireFunction<CredentialSource>('client: credentials', credentials)
  if (name !== undefined) requireText('client: name', name)
  if (inboxPrefix !== undefined && /[\s*>]/.test(requireText('client: inboxPrefix', inboxPrefix)))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'client: inboxPrefix is a subject without wildcards.')
  requireNumber('client: timeoutMs', timeoutMs, { min: 1, max: 300_000 })
  requireNumber('client: pingIntervalMs', pingIntervalMs, { min: 100, max: 3_600_000 })
  const bundle = await tlsBundle(options.tls)
  const pieces = natsOptions({
    servers: options.servers,
    tls: bundle,
    ...(serverName !== undefined && { serverName }),
    ...(handshakeFirst !== undefined && { handshakeFirst }),
  })
  const { origin } = servers[0]
  return {
    origin,
    clock,
    open: () =>
      openConnection({
        pieces,
        servers,
        bundle,
        source,
        target: { origin, secure: true, shared: true },
        timeoutMs,
        pingIntervalMs,
        name,
        inboxPrefix,
        clock,
        onWarning,
      }),
    close() {
      // Who makes a bundle closes it.
      if (!isTlsBundle(options.tls)) bundle.close()
    },
  }
}
