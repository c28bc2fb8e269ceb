import type { Server } from 'node:http'
import type { Http2SecureServer, Http2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { knownConnectionOf } from './connection.ts'

/**
 * The connections that are open: ends those on which nothing moves, and all of them at the end.
 *
 * It looks at them every now and then. Node's own inactivity timers are set anew with every read and write, which costs
 * a twentieth of the throughput, and they end a stream of events that has nothing to tell.
 */
export class OpenConnections {
  /** Below TLS, for the end. */
  readonly #sockets = new Set<Socket>()
  /** Bytes moved when it was looked at last. */
  readonly #http1 = new Map<Socket, number>()
  readonly #http2 = new Map<Http2Session, number>()
  readonly #sweep: NodeJS.Timeout

  constructor(server: Http2SecureServer | Server, secure: boolean, idleMs: number) {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      if (!secure) this.#watch(socket)
    })
    if (secure) {
      server.on('secureConnection', (socket: Socket & { readonly alpnProtocol?: string | false }) => {
        if (socket.alpnProtocol !== 'h2') this.#watch(socket)
      })
      ;(server as Http2SecureServer).on('session', (session) => {
        this.#http2.set(session, 0)
        session.once('close', () => this.#http2.delete(session))
      })
    }
    // What is found still once is ended when it is found still again: between once and twice half the time.
    this.#sweep = setInterval(() => this.#endIdle(), idleMs / 2).unref()
  }

  /** Tells HTTP/2 peers to open no more streams (RFC 9113 section 6.8). */
  goAway(): void {
    for (const session of this.#http2.keys()) session.close()
  }

  /** Ends every connection, whatever it does. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Stops looking. */
  stop(): void {
    clearInterval(this.#sweep)
  }

  #watch(socket: Socket): void {
    this.#http1.set(socket, 0)
    socket.once('close', () => this.#http1.delete(socket))
  }

  #endIdle(): void {
    for (const [socket, before] of this.#http1) {
      const moved = socket.bytesRead + socket.bytesWritten
      this.#http1.set(socket, moved)
      if (moved !== before) continue
      const exchange = knownConnectionOf(socket)?.current
      // An answer under way may have nothing to say for a while; one that the peer does not read has.
      if (exchange === undefined || exchange.finished || socket.writableLength > 0) socket.destroy()
    }
    for (const [session, before] of this.#http2) {
      if (session.destroyed) continue
      const moved = session.socket.bytesRead + session.socket.bytesWritten
      this.#http2.set(session, moved)
      // Streams under way are finished; the connection ends with the last.
      if (moved === before) session.close()
    }
  }
}
