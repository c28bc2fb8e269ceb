import {
  checkOptions,
  ConfigurationError,
  isSecurityError,
  otherCredential,
  requireFunction,
  requireNumber,
  requireText,
  systemClock,
  type Clock,
  type CredentialSource,
  type Supplied,
  type Target,
} from '@portcullis/core'
import { isTlsBundle, secureClientOptions, tlsBundle, type ClientTlsBundle, type ClientTlsOptions } from '@portcullis/tls'
import type { StanOptions } from 'node-nats-streaming'
import { dial, type StanConnection } from './connection.ts'
import { plaintext } from './danger.ts'
import { dueOf } from './due.ts'
import { present } from './present.ts'
import { serversOf, type ServerAt } from './servers.ts'

/** What {@link client} takes. */
export interface ClientOptions {
  /** `tls://stan.example:4222`, one or several of a cluster, tried in this order. The first is the target of the source. */
  readonly servers: string | readonly [string, ...string[]]
  /** The streaming cluster behind them, by the name in its configuration. */
  readonly clusterId: string
  /** Whom it trusts, and its own key pair if it has one. `plaintext` of `/danger` is the only way without. */
  readonly tls: ClientTlsBundle | ClientTlsOptions | typeof plaintext
  /**
   * Yields name and password, or a token; asked anew for each connection, ahead of each expiry, and when the server
   * refuses what it has. `certificate`: the server knows the client by its certificate (`verify_and_map`). `none`: with
   * `plaintext`, over which nothing secret is sent.
   */
  readonly credentials: CredentialSource | 'certificate' | 'none'
  /** The name in the certificates of all servers, where it is not the host of their URLs. */
  readonly serverName?: string
  /** How long a server may take to open a connection, and to answer each request on it, in milliseconds. Default: 10,000. */
  readonly timeoutMs?: number
  /** How long a server may take to store a message, in milliseconds. Default: 30,000, for servers with many channels in files. */
  readonly ackTimeoutMs?: number
  /** A connection that is dead is noticed within four of these. Whole seconds, since the protocol counts so. Default: 5. */
  readonly pingIntervalSeconds?: number
  readonly clock?: Clock
  /** Hears of renewals that failed and will be tried again. */
  readonly onWarning?: (error: Error) => void
}

/** The way to a server or cluster. It holds no connection; producers and consumers open their own. */
export interface StanClient {
  /** The first server as target of sources: `tls://stan.example:4222`. */
  readonly origin: string
  readonly secure: boolean
  readonly clock: Clock
  /**
   * Opens a connection under a client identifier, which no other connection of the cluster may have: with a fresh
   * credential, over verified TLS. It does not reconnect: open another when it has ended, or is `due`. Rejects with a
   * `SecurityError` that says what the failure means.
   */
  open(clientId: string): Promise<StanConnection>
  /** Gives up the bundle, if the client made it. Connections are closed by whoever opened them. */
  close(): void
}

/** Makes a client. Opens nothing yet; rejects with what `tlsBundle` rejects with. */
export async function client(options: ClientOptions): Promise<StanClient> {
  checkOptions<ClientOptions>('client', options, {
    servers: true,
    clusterId: true,
    tls: true,
    credentials: true,
    serverName: true,
    timeoutMs: true,
    ackTimeoutMs: true,
    pingIntervalSeconds: true,
    clock: true,
    onWarning: true,
  })
  const { credentials, serverName, timeoutMs = 10_000, ackTimeoutMs = 30_000, pingIntervalSeconds = 5, onWarning } = options
  const { clock = systemClock } = options
  const secure = options.tls !== plaintext
  if (secure === (credentials === 'none'))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'client: credentials are `none` over plaintext, and never otherwise.')
  const servers = serversOf(options.servers, secure)
  const clusterId = identifier('client: clusterId', options.clusterId)
  const source =
    credentials === 'certificate' || credentials === 'none'
      ? undefined
      : requireFunction<CredentialSource>('client: credentials', credentials)
  requireNumber('client: timeoutMs', timeoutMs, { min: 1, max: 300_000 })
  requireNumber('client: ackTimeoutMs', ackTimeoutMs, { min: 1, max: 300_000 })
  requireNumber('client: pingIntervalSeconds', pingIntervalSeconds, { min: 1, max: 3_600 })
  const bundle = options.tls === plaintext ? undefined : await tlsBundle(options.tls)
  const target: Target = { origin: servers[0].origin, secure, shared: true }
  const pingIntervalMs = Math.ceil(pingIntervalSeconds) * 1_000
  const common: StanOptions = {
    ackTimeout: ackTimeoutMs,
    stanPingInterval: pingIntervalMs,
    pingInterval: pingIntervalMs,
    // A server that also has users with NKeys sends everybody a nonce, and without these the library would not log in at all.
    nkey: '',
    nonceSigner: () => Buffer.alloc(0),
  }

  const dialAt = ({ host, port }: ServerAt, clientId: string, supplied: Supplied | undefined) => {
    const secured = bundle && secureClientOptions(bundle, { host, ...(serverName !== undefined && { serverName }) })
    // Where the server asks for a certificate the library looks for one here, and not in the context that holds it; its
    // types are those of a listener.
    const tls = secured === undefined ? false : ({ ...secured, cert: '' } as StanOptions['tls'] & object)
    return dial(
      clusterId,
      clientId,
      {
        ...common,
        ...(supplied && present(supplied.credential)),
        url: `nats://${host}:${port}`,
        tls,
      },
      timeoutMs,
    )
  }
  const dialAny = async (clientId: string, supplied: Supplied | undefined): ReturnType<typeof dial> => {
    let last: unknown
    for (const server of servers)
      try {
        return await dialAt(server, clientId, supplied)
      } catch (error) {
        last = error
        if (!isSecurityError(error) || error.family !== 'unavailable') break
      }
    throw last
  }
  const open = async (clientId: string): Promise<StanConnection> => {
    identifier('A client identifier', clientId)
    let supplied = await source?.({ target })
    let own: Awaited<ReturnType<typeof dial>>
    try {
      own = await dialAny(clientId, supplied)
    } catch (error) {
      if (source === undefined || supplied === undefined || !isSecurityError(error, 'ERR_STAN_CREDENTIAL_REFUSED')) throw error
      // Refused once, the source may have a better one; the same is never sent twice.
      supplied = await otherCredential(
        (request) => source({ target, ...request }),
        supplied.credential,
        () => error,
      )
      own = await dialAny(clientId, supplied)
    }
    return { ...own, due: dueOf(own.ended, supplied, { source, target, bundle, clock, onWarning }) }
  }
  return {
    origin: target.origin,
    secure,
    clock,
    open,
    close() {
      // Who makes a bundle closes it.
      if (!isTlsBundle(options.tls)) bundle?.close()
    },
  }
}

/** What the server takes for an identifier. */
export function identifier(what: string, text: unknown): string {
  if (/^[\w-]+$/.test(requireText(what, text))) return text as string
  throw new ConfigurationError('ERR_OPTION_INVALID', `${what} has letters, digits, "-" and "_" only.`)
}
