import type { ServerInterceptingCallInterface } from '@grpc/grpc-js'
import type { Clock, PeerChannel } from '@portcullis/core'
import type { ServerTlsBundle } from '@portcullis/tls'
import type { TLSSocket } from 'node:tls'
import { channelOf, ReadCredentials } from './describe.ts'
import type { GuardedCall } from './guarded-call.ts'

/** The address of a connection, as {@link ServerInterceptingCallInterface.getConnectionInfo} tells it. */
type Ends = ReturnType<ServerInterceptingCallInterface['getConnectionInfo']>

// A peer that reads at all has its last status by then; one that does not would hold the stream for ever.
const lastWordMs = 10_000

/** One connection: what is known of it, and the streams on it. */
export class Connection {
  readonly streams = new Set<GuardedCall>()
  readonly ends: Ends
  readonly credentials = new ReadCredentials()
  /** Those that can be renewed, by the name that the client gave them. */
  readonly named = new Map<string, GuardedCall>()
  readonly #socket: TLSSocket
  readonly #tls: ServerTlsBundle
  readonly #channel: PeerChannel

  constructor(socket: TLSSocket, tls: ServerTlsBundle) {
    this.#socket = socket
    this.#tls = tls
    this.#channel = channelOf(socket, tls)
    const { remoteAddress, remotePort, localAddress, localPort } = socket
    this.ends = { remoteAddress, remotePort, localAddress, localPort }
  }

  /** Looks again at whether the certificate's authority is still trusted. Throws what `peerCertificateOf` throws. */
  get channel(): PeerChannel {
    return this.#channel.certificate === undefined ? this.#channel : channelOf(this.#socket, this.#tls)
  }

  /** Cuts the connection if the peer does not take the last status of a stream; returns how to say that it did. */
  awaitLastWord(clock: Clock): () => void {
    const timer = clock.schedule(lastWordMs, () => this.#socket.destroy())
    return () => timer.cancel()
  }

  /** Ends its streams, since the listener stops. */
  shutDown(): void {
    for (const stream of this.streams) stream.shutDown()
  }
}

/**
 * The live connections of a listener. The library does not show a call's socket, but the addresses of both of its ends,
 * and no two live connections have the same two.
 */
export class Connections {
  readonly #all = new Set<Connection>()
  // Few share a port; a text of all four would have to be put together for each call.
  readonly #byPort = new Map<number | undefined, readonly Connection[]>()

  add(socket: TLSSocket, connection: Connection): void {
    const { remotePort } = connection.ends
    this.#all.add(connection)
    this.#byPort.set(remotePort, [connection, ...(this.#byPort.get(remotePort) ?? [])])
    socket.once('close', () => {
      this.#all.delete(connection)
      const others = (this.#byPort.get(remotePort) ?? []).filter((one) => one !== connection)
      if (others.length === 0) this.#byPort.delete(remotePort)
      else this.#byPort.set(remotePort, others)
    })
  }

  /** The connection of a call; `undefined` if it is gone. */
  of(call: ServerInterceptingCallInterface): Connection | undefined {
    const { remoteAddress, remotePort, localAddress, localPort } = call.getConnectionInfo()
    for (const connection of this.#byPort.get(remotePort) ?? []) {
      const { ends } = connection
      if (ends.remoteAddress === remoteAddress && ends.localPort === localPort && ends.localAddress === localAddress) return connection
    }
    return undefined
  }

  [Symbol.iterator](): Iterator<Connection> {
    return this.#all.values()
  }
}
