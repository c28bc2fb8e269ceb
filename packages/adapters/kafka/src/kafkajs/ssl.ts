import { attachClient, secureClientOptions, type ClientTlsBundle } from '@portcullis/tls'
import type { ISocketFactory, ISocketFactoryArgs, KafkaConfig } from 'kafkajs'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { ConfigurationError } from '@portcullis/core'
import { kafkaErrorCodes, type KafkaErrorCode } from '../errors.ts'

/** Options of {@link ssl}. */
export interface SslOptions {
  /** The name that every broker's certificate must hold, where it is not the host. */
  readonly serverName?: string
}

/** What {@link ssl} makes: spread it into the options of `Kafka`. */
export type Secured = Required<Pick<KafkaConfig, 'ssl' | 'socketFactory'>>

const idleProbeMs = 60_000
const secured = new WeakMap<object, Set<string>>()

/**
 * The options of kafkajs's `Kafka` for TLS, to spread into its options. Key pair and trust anchors are those that the bundle
 * holds when a connection is made, so a certificate that was exchanged is in use from the next one on; connections whose broker is no
 * longer trusted are cut. The name of every broker is compared with its certificate.
 */
export function ssl(bundle: ClientTlsBundle, options: SslOptions = {}): Secured {
  const { serverName } = options
  const optionsFor = (host: string): ReturnType<typeof secureClientOptions> =>
    secureClientOptions(bundle, { host, ...(serverName !== undefined && { serverName }) })
  // Fails here and not at the first connection.
  optionsFor('localhost')
  const open = new Set<string>()
  const socketFactory: ISocketFactory = ({ host, port, onConnect }) => {
    const socket = connectTls({ ...optionsFor(host), port })
    socket.setKeepAlive(true, idleProbeMs)
    let handshaking = false
    socket.once('connect', () => (handshaking = true))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // The library hands on the code and nothing else. A broker without TLS closes at the first byte of a handshake.
      if (handshaking && error.code === 'ECONNRESET') error.code = 'ERR_KAFKA_TLS_MISMATCH' satisfies KafkaErrorCode
    })
    // The library hears an end and an error, and would wait long for answers on a connection that was cut.
    const cut = (): boolean => socket.emit('end')
    socket.once('close', cut)
    for (const heard of ['end', 'error']) socket.once(heard, () => socket.off('close', cut))
    socket.once('secureConnect', () => {
      handshaking = false
      open.add(`${host}:${port}`)
      attachClient(socket, bundle)
      onConnect()
    })
    return socket
  }
  const made: Secured = { ssl: true, socketFactory }
  secured.set(socketFactory, open)
  return made
}

/** Whether connections to this broker are made by this factory, and so by TLS alone. */
export function isSecured(factory: ISocketFactory, host: string, port: number): boolean {
  return secured.get(factory)?.has(`${host}:${port}`) === true
}

/** For `plaintext`: a factory that notices a broker that answers in TLS, which the library takes for a message of some gigabytes. */
export function plainSockets({ host, port, onConnect }: ISocketFactoryArgs): Socket {
  const socket = connectPlain({ host, port }, onConnect)
  socket.setKeepAlive(true, idleProbeMs)
  socket.once('data', (first: Buffer) => {
    // A TLS alert (RFC 8446 section 5.1). No message of Kafka begins so: its length would be 350 megabytes.
    if (first[0] === 0x15 && first[1] === 0x03)
      socket.destroy(new ConfigurationError<KafkaErrorCode>('ERR_KAFKA_TLS_MISMATCH', kafkaErrorCodes.ERR_KAFKA_TLS_MISMATCH))
  })
  return socket
}
