import { checkOptions, ConfigurationError, requireNumber, requireText, requireTexts } from '@portcullis/core'
import { isTlsBundle, tlsBundle, type ClientTlsBundle, type ClientTlsOptions } from '@portcullis/tls'
import { plaintext } from './danger.ts'
import { SaslClient, type SaslOptions } from './present.ts'

/** What `client` of either sub-path takes. */
export interface ClientOptions {
  /** `host:port` of some brokers of the cluster; the others are learned from them. */
  readonly brokers: readonly [string, ...string[]]
  /** Whom it trusts, and its own key pair if it has one (mutual TLS). `plaintext` of `/danger` is the only way without. */
  readonly tls: ClientTlsBundle | ClientTlsOptions | typeof plaintext
  /** How it presents itself. Without it only the certificate speaks. `origin` is `kafka://` and the first broker if it is not given. */
  readonly sasl?: Omit<SaslOptions, 'origin'> & { readonly origin?: string }
  /** The name in the brokers' logs and quotas. Default: `portcullis`. */
  readonly clientId?: string
  /** Where the certificates' name is not the host: one name for all brokers. */
  readonly serverName?: string
  /** How long a connection may take to be made. Default: 10,000, a very bad line. */
  readonly connectTimeoutMs?: number
  /**
   * The shortest life of a session: the brokers' `connections.max.reauth.ms`, or that of the tokens if it is shorter.
   * `kafkajs` has to be told ahead; without it, 60,000 or more is taken for granted. `@platformatic/kafka` learns it from the broker.
   */
  readonly sessionMs?: number
}

/** Checked options of a client. */
export interface ClientSettings {
  readonly brokers: readonly [string, ...string[]]
  readonly origin: string
  readonly bundle: ClientTlsBundle | undefined
  readonly sasl: SaslClient | undefined
  readonly clientId: string
  readonly serverName: string | undefined
  readonly connectTimeoutMs: number
  readonly sessionMs: number | undefined
  /** Who makes a bundle closes it. */
  readonly close: () => void
}

/** Checks the options and reads the key pairs. */
export async function clientSettings(options: ClientOptions): Promise<ClientSettings> {
  checkOptions<ClientOptions>('client', options, {
    brokers: true,
    tls: true,
    sasl: true,
    clientId: true,
    serverName: true,
    connectTimeoutMs: true,
    sessionMs: true,
  })
  const { tls, sasl, clientId = 'portcullis', serverName, connectTimeoutMs = 10_000, sessionMs } = options
  const brokers = requireTexts('client: brokers', options.brokers)
  for (const broker of brokers)
    if (!/^(\[[\da-fA-F:.]+\]|[^\s:/]+):\d{1,5}$/.test(broker))
      throw new ConfigurationError('ERR_OPTION_INVALID', `client: "${broker}" is no broker; write host:port.`)
  if (tls === undefined) throw new ConfigurationError('ERR_OPTION_MISSING', 'client: tls is required.')
  if (tls === plaintext && sasl !== undefined)
    throw new ConfigurationError('ERR_OPTION_INVALID', 'client: without TLS no credential is sent, so sasl makes no sense.')
  const origin = `kafka://${brokers[0]}`
  const presenting = sasl === undefined ? undefined : new SaslClient({ origin, ...sasl })
  const checked = {
    clientId: requireText('client: clientId', clientId),
    serverName: serverName === undefined ? undefined : requireText('client: serverName', serverName),
    connectTimeoutMs: requireNumber('client: connectTimeoutMs', connectTimeoutMs, { min: 1, max: 300_000 }),
    sessionMs: sessionMs === undefined ? undefined : requireNumber('client: sessionMs', sessionMs, { min: 1_500, max: 30 * 86_400_000 }),
  }
  const bundle = tls === plaintext ? undefined : await tlsBundle(tls)
  return {
    brokers,
    origin: sasl?.origin ?? origin,
    bundle,
    sasl: presenting,
    ...checked,
    close: () => {
      if (tls !== plaintext && !isTlsBundle(tls)) bundle?.close()
    },
  }
}

/** How long a consumer that is closed waits for its handler, in milliseconds; then it leaves, and the message is handed out again. */
export const maxCloseMs = 10_000

/**
 * How the members of a group are known to live, in milliseconds. A consumer that had no time to leave (its broker went away)
 * holds its partitions until the session of the group is over, so that is shorter than the libraries' own half minute.
 * Beats are a third of it; handlers may take longer, for beats go on meanwhile.
 */
export const groupTimes = { session: 10_000, beat: 3_000, rebalance: 30_000 } as const
