import {
  checkOptions,
  ConfigurationError,
  isExhausted,
  isSecurityError,
  requireFunction,
  requireNumber,
  requireText,
  sameCredential,
  systemClock,
  type Clock,
  type Credential,
  type CredentialSource,
  type Supplied,
  type Target,
  type Timer,
} from '@portcullis/core'
import { attachClient, secureClientOptions, tlsBundle, isTlsBundle, type ClientTlsBundle, type ClientTlsOptions } from '@portcullis/tls'
import { connect, type ChannelModel } from 'amqplib'
import type { TLSSocket } from 'node:tls'
import { codedAs, diagnose } from './diagnose.ts'
import { external, present, secretOf } from './present.ts'

/** What {@link client} takes. */
export interface ClientOptions {
  /** `amqps://broker.example:5671`; without a user, a password and a virtual host, which have options of their own. */
  readonly url: string
  /** Whom it trusts, and its own key pair if it has one. */
  readonly tls: ClientTlsBundle | ClientTlsOptions
  /** Yields name and password, or an access token; asked anew for each connection and ahead of each expiry. `certificate`: the broker knows the client by its certificate (EXTERNAL). */
  readonly credentials: CredentialSource | 'certificate'
  /** The name beside an access token. Default: none, since the broker's OAuth 2 plugin takes it from the token; a guard as the broker's authority needs it. A password has its own. */
  readonly username?: string
  /**
   * How a credential is renewed on live connections. `update-secret`, the default, renews it in place with the broker's
   * OAuth 2 plugin. `login`, for a broker that asks an authority over HTTP and tells it of logins only, logs in anew on a
   * connection that is closed at once.
   */
  readonly renewal?: 'update-secret' | 'login'
  /** Default: `/`. */
  readonly virtualHost?: string
  /** Where the certificate's name is not the URL's host. */
  readonly serverName?: string
  /** How long a broker may take to open a connection, in milliseconds. Default: 10,000. */
  readonly timeoutMs?: number
  /** In seconds; a connection that is dead is noticed within two of them. Default: 10. */
  readonly heartbeatSeconds?: number
  readonly clock?: Clock
  /** Hears of renewals that failed and will be tried again. */
  readonly onWarning?: (error: Error) => void
}

/** The way to a broker. It holds no connection; producers and consumers open their own. */
export interface RabbitmqClient {
  /** The broker as target of sources: `amqps://broker.example:5671`. */
  readonly origin: string
  readonly clock: Clock
  /**
   * Opens a connection of `amqplib`, for whoever wants the library itself: over verified TLS, with a fresh credential,
   * which is renewed ahead of each expiry for as long as it lives. Rejects with a `SecurityError` that says what the
   * failure means.
   */
  open(): Promise<ChannelModel>
  /** Gives up the bundle, if the client made it. Connections are closed by whoever opened them. */
  close(): void
}

/** Makes a client. Opens nothing yet; rejects with what `tlsBundle` rejects with. */
export async function client(options: ClientOptions): Promise<RabbitmqClient> {
  checkOptions<ClientOptions>('client', options, {
    url: true,
    tls: true,
    credentials: true,
    username: true,
    renewal: true,
    virtualHost: true,
    serverName: true,
    timeoutMs: true,
    heartbeatSeconds: true,
    clock: true,
    onWarning: true,
  })
  const { credentials, virtualHost = '/', serverName, timeoutMs = 10_000, heartbeatSeconds = 10, clock = systemClock, onWarning } = options
  const { hostname, port, origin } = addressOf(options.url)
  const { username, renewal = 'update-secret' } = options
  if (username !== undefined) requireText('client: username', username)
  if (renewal !== 'update-secret' && renewal !== 'login')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'client: renewal is update-secret or login.')
  requireText('client: virtualHost', virtualHost)
  requireNumber('client: timeoutMs', timeoutMs, { min: 1, max: 300_000 })
  // Zero would switch the heartbeat off, and a dead connection would be noticed by nobody.
  requireNumber('client: heartbeatSeconds', heartbeatSeconds, { min: 1, max: 3_600 })
  const source = credentials === 'certificate' ? undefined : requireFunction<CredentialSource>('client: credentials', credentials)
  const bundle = await tlsBundle(options.tls)
  const target: Target = { origin, secure: true, shared: true }

  const dial = async (supplied: Supplied | undefined): Promise<ChannelModel> => {
    const secure = secureClientOptions(bundle, { host: hostname, ...(serverName !== undefined && { serverName }) })
    try {
      return await connect(
        { protocol: 'amqps', hostname, port, vhost: virtualHost, heartbeat: heartbeatSeconds },
        {
          ...secure,
          servername: secure.servername ?? '',
          timeout: timeoutMs,
          credentials: supplied === undefined ? external : present(supplied.credential, username),
        },
      )
    } catch (error) {
      throw diagnose(error)
    }
  }
  const open = async (): Promise<ChannelModel> => {
    if (source === undefined) return attached(await dial(undefined), bundle)
    let supplied = await source({ target })
    let model: ChannelModel
    try {
      model = await dial(supplied)
    } catch (error) {
      if (!isSecurityError(error, 'ERR_RABBITMQ_CREDENTIAL_REFUSED')) throw error
      // Refused once, the source may have a better one; the same is never sent twice.
      supplied = await another(source, target, supplied.credential, error)
      model = await dial(supplied)
    }
    renewing(attached(model, bundle), supplied, { source, target, clock, onWarning, renew: renewals[renewal] })
    return model
  }
  const renewals: Readonly<Record<typeof renewal, Renewal['renew']>> = {
    'update-secret': async (model, { credential }) => {
      await model.updateSecret(secretOf(credential), 'renewal ahead of expiry')
    },
    login: async (_model, next) => attached(await dial(next), bundle).close(),
  }
  return {
    origin,
    clock,
    open,
    close() {
      // Who makes a bundle closes it.
      if (!isTlsBundle(options.tls)) bundle.close()
    },
  }
}

async function another(source: CredentialSource, target: Target, refused: Credential, cause: unknown): Promise<Supplied> {
  let next: Supplied
  try {
    next = await source({ target, refused })
  } catch (error) {
    throw isExhausted(error) ? cause : error
  }
  if (sameCredential(next.credential, refused)) throw cause
  return next
}

function attached(model: ChannelModel, bundle: ClientTlsBundle): ChannelModel {
  // The library's type leaves out the socket, by which a change of trust reaches the connection.
  const { stream } = model.connection as unknown as { readonly stream: TLSSocket }
  attachClient(stream, bundle)
  // Without a listener an error of a connection would end the process; what it means is told by its `close`.
  model.on('error', () => undefined)
  return model
}

interface Renewal {
  readonly source: CredentialSource
  readonly target: Target
  readonly clock: Clock
  readonly onWarning: ((error: Error) => void) | undefined
  readonly renew: (model: ChannelModel, next: Supplied) => Promise<void>
}

// Between 70 and 90 per cent of its life, so that many connections do not come at once, and there is time to try again.
const earliestShare = 0.7
const spreadShare = 0.2
const retryMs = 1_000

/** Renews the credential of a connection ahead of each expiry, until the connection closes. */
function renewing(model: ChannelModel, supplied: Supplied, renewal: Renewal): void {
  const { source, target, clock, onWarning } = renewal
  let current = supplied
  let timer: Timer | undefined
  let open = true
  model.on('close', () => {
    open = false
    timer?.cancel()
  })
  const plan = (): void => {
    const { expiresAt } = current
    if (expiresAt === undefined || !open) return
    const leftMs = Math.max(0, expiresAt.getTime() - clock.now())
    timer = clock.schedule(leftMs * (earliestShare + Math.random() * spreadShare), renew)
  }
  const renew = (): void => {
    void (async () => {
      try {
        const next = await source({ target })
        if (!open) return
        if (!sameCredential(next.credential, current.credential)) await renewal.renew(model, next)
        current = next
        plan()
      } catch (error) {
        if (!open) return
        onWarning?.(codedAs('ERR_RABBITMQ_RENEWAL', error))
        timer = clock.schedule(retryMs, renew)
      }
    })()
  }
  plan()
}

function addressOf(url: string): { readonly hostname: string; readonly port: number; readonly origin: string } {
  const parsed = URL.canParse(requireText('client: url', url)) ? new URL(url) : undefined
  if (parsed?.protocol !== 'amqps:')
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      'client: url must be of the form amqps://broker.example:5671; there is no way to speak without TLS.',
    )
  if (parsed.username !== '' || parsed.password !== '' || !['', '/'].includes(parsed.pathname) || parsed.search !== '')
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      'client: url names host and port only; a credential in it would be lost at the first renewal, and printed.',
    )
  const port = parsed.port === '' ? 5_671 : Number(parsed.port)
  const hostname = parsed.hostname.replace(/^\[|\]$/g, '')
  return { hostname, port, origin: `amqps://${parsed.hostname}:${port}` }
}
