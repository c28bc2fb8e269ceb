import {
  InterceptingCall,
  type CallOptions,
  type ChannelCredentials,
  type Client,
  type ClientOptions as NativeOptions,
  type Interceptor,
  type Metadata,
  type StatusObject,
} from '@grpc/grpc-js'
import {
  checkOptions,
  ConfigurationError,
  requireFunction,
  requireNumber,
  requireText,
  systemClock,
  type AnySource,
  type Clock,
  type Principal,
} from '@portcullis/core'
import { isTlsBundle, tlsBundle, type ClientTlsBundle, type ClientTlsOptions } from '@portcullis/tls'
import { isIPv6 } from 'node:net'
import { BundleCredentials } from './channel.ts'
import { callerKey, OutgoingCall, requireCaller, type OutgoingSettings } from './outgoing-call.ts'
import { empty, renewalPath } from './renewal.ts'

/** What {@link client} takes. */
export interface ClientOptions {
  readonly host: string
  readonly port: number
  /** Whom it trusts, and its own key pair if it has one. */
  readonly tls: ClientTlsBundle | ClientTlsOptions
  /** Where the certificate's name is not `host`. */
  readonly serverName?: string
  /** Yields the credential of each call. Without one only the certificate speaks. */
  readonly source?: AnySource
  /** For calls with one request and one answer that bring no deadline. Default 60,000. */
  readonly timeoutMs?: number
  /** Default 4 MiB, as in every gRPC library. */
  readonly maxMessageBytes?: number
  /** Interceptors of one's own. They run outside of the one that presents the credential, and do not see it. */
  readonly interceptors?: readonly Interceptor[]
  /** Says when streams are renewed. Default: the machine's. */
  readonly clock?: Clock
}

/** A client's class: generated, or made by the library's `makeClientConstructor`. */
export type ClientConstructor<C extends Client> = new (
  address: string,
  credentials: ChannelCredentials,
  options?: Partial<NativeOptions>,
) => C

/**
 * Makes a client of this class over TLS. There is no way to make one without: no insecure channel is accepted, and none
 * could be given.
 *
 * Each call asks the source and presents what it yields. A call that is refused with UNAUTHENTICATED is made once more
 * if the source has another credential, nothing was answered, and its request is no stream. Streams are renewed in band
 * ahead of each expiry where the server is one of ours. What goes wrong before anything is sent ends the call with the
 * status of its kind and the error as `cause`.
 *
 * Throws what `tlsBundle` throws, and core's `ERR_OPTION_*`. The connection is made with the first call.
 */
export async function client<C extends Client>(Constructor: ClientConstructor<C>, options: ClientOptions): Promise<C> {
  if (typeof Constructor !== 'function')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'client: the first argument must be a class of clients.')
  checkOptions<ClientOptions>('client', options, {
    host: true,
    port: true,
    tls: true,
    serverName: true,
    source: true,
    timeoutMs: true,
    maxMessageBytes: true,
    interceptors: true,
    clock: true,
  })
  const { serverName, source, timeoutMs = 60_000, maxMessageBytes = 4 * 1024 * 1024, interceptors = [], clock = systemClock } = options
  const host = requireText('client: host', options.host)
  const port = requireNumber('client: port', options.port, { min: 1, max: 65_535 })
  requireNumber('client: timeoutMs', timeoutMs, { min: 1, max: 3_600_000 })
  requireNumber('client: maxMessageBytes', maxMessageBytes, { min: 1, max: 2 ** 31 - 1 })
  if (source !== undefined) requireFunction('client: source', source)
  if (/[/@?#]/.test(host)) throw new ConfigurationError('ERR_OPTION_INVALID', `client: "${host}" is no host.`)
  const bracketed = (name: string): string => (isIPv6(name) ? `[${name}]` : name)
  const bundle = await tlsBundle(options.tls)
  const settings: Omit<OutgoingSettings, 'source'> = {
    target: { origin: `https://${bracketed(serverName ?? host)}:${port}`, secure: true },
    timeoutMs,
    clock,
    renew: (metadata) => renew(made, metadata),
  }
  const presenting: Interceptor[] =
    source === undefined ? [] : [(call, next) => new InterceptingCall(new OutgoingCall({ ...settings, source }, call, next))]
  const made = new Constructor(
    `dns:///${bracketed(host)}:${port}`,
    new BundleCredentials(bundle, { host, ...(serverName !== undefined && { serverName }) }),
    {
      // The last stands next to the wire.
      interceptors: [...interceptors, ...presenting],
      'grpc.max_receive_message_length': maxMessageBytes,
      'grpc.max_send_message_length': maxMessageBytes,
      'grpc.enable_channelz': 0,
      // A service configuration from DNS could make calls be repeated that must not be.
      'grpc.service_config_disable_resolution': 1,
      ...(serverName !== undefined && { 'grpc.default_authority': `${bracketed(serverName)}:${port}` }),
    },
  )
  return closing(made, () => {
    // Who makes a bundle closes it.
    if (!isTlsBundle(options.tls)) bundle.close()
  })
}

/**
 * The options of a call that is made for a caller: `orders.get(request, onBehalfOf(caller), callback)`. The source must
 * be a delegated one. Throws `ERR_GRPC_CALLER` for what is no principal.
 */
export function onBehalfOf(caller: Principal, options: CallOptions = {}): CallOptions {
  return Object.assign({}, options, { [callerKey]: requireCaller(caller) })
}

function closing<C extends Client>(made: C, closed: () => void): C {
  const close = made.close.bind(made)
  made.close = () => {
    close()
    closed()
  }
  return made
}

// A renewal is a round trip; one that takes longer comes too late anyway.
const renewalTimeoutMs = 10_000

function renew(over: Client, metadata: Metadata): Promise<StatusObject> {
  return new Promise((resolve) => {
    over
      .makeUnaryRequest(
        renewalPath,
        empty.serialize,
        empty.deserialize,
        {},
        metadata,
        // It brings its credential itself: this stands in place of the interceptors of the client.
        { deadline: Date.now() + renewalTimeoutMs, interceptors: [(options, next) => new InterceptingCall(next(options))] },
        () => undefined,
      )
      .on('status', resolve)
  })
}
