import type { Server } from 'node:http'
import type { Http2SecureServer, Http2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { knownConnectionOf } from './connection.ts'
import type { Http2Exchange } from './http2.ts'

/** An HTTP/2 connection, and when each of its exchanges began. */
interface Session {
  readonly session: Http2Session
  readonly exchanges: Map<Http2Exchange, number>
  leaving: boolean
}

interface Watched {
  /** Bytes moved when it was looked at last. */
  moved: number
  readonly http2: Session | undefined
}

/**
 * The connections that are open: ends those on which nothing moves, and all of them at the end.
 *
 * It looks at them every now and then. Node's own inactivity timers are set anew with every read and write, which costs
 * a twentieth of the throughput, and they end a stream of events that has nothing to tell.
 */
export class OpenConnections {
  /** Below TLS, for the end. */
  readonly #sockets = new Set<Socket>()
  readonly #watched = new Map<Socket, Watched>()
  readonly #sessions = new Map<Http2Session, Session>()
  #timers: readonly NodeJS.Timeout[] = []

  constructor(server: Http2SecureServer | Server, secure: boolean) {
    server.on('connection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
      if (!secure) this.#watch(socket)
    })
    if (secure) {
      // Node makes the session of a connection as the first that hears of it, and hides the socket.
      let made: Session | undefined
      ;(server as Http2SecureServer).on('session', (session) => {
        made = { session, exchanges: new Map(), leaving: false }
        this.#sessions.set(session, made)
        session.once('close', () => this.#sessions.delete(session))
      })
      server.on('secureConnection', (socket: Socket) => {
        this.#watch(socket, made)
        made = undefined
      })
    }
  }

  /**
   * Begins to look. `late` is called with an exchange of HTTP/2 whose request has not arrived whole within `requestMs`;
   * for HTTP/1.1 Node does that.
   */
  start({ idleMs, requestMs }: { readonly idleMs: number; readonly requestMs: number }, late: (exchange: Http2Exchange) => void): void {
    this.#timers = [
      // What is found still once is ended when it is found still again: between once and twice half the time.
      setInterval(() => this.#endIdle(), idleMs / 2),
      setInterval(() => this.#endLate(requestMs, late), Math.min(5_000, requestMs / 2)),
    ]
    for (const timer of this.#timers) timer.unref()
  }

  /** Keeps an exchange in sight until it is over. */
  enter(session: Http2Session, exchange: Http2Exchange): void {
    const exchanges = this.#sessions.get(session)?.exchanges
    exchanges?.set(exchange, performance.now())
    exchange.onClose(() => exchanges?.delete(exchange))
  }

  /** A connection that speaks another protocol from here on is for that to watch. */
  release(socket: Socket): void {
    this.#watched.delete(socket)
  }

  /** Tells HTTP/2 peers to open no more streams (RFC 9113 section 6.8). */
  goAway(): void {
    for (const session of this.#sessions.keys()) session.close()
  }

  /** Ends every connection, whatever it does. */
  destroy(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Stops looking. */
  stop(): void {
    for (const timer of this.#timers) clearInterval(timer)
  }

  #watch(socket: Socket, http2?: Session): void {
    this.#watched.set(socket, { moved: 0, http2 })
    socket.once('close', () => this.#watched.delete(socket))
  }

  #endIdle(): void {
    for (const [socket, watched] of this.#watched) {
      const moved = socket.bytesRead + socket.bytesWritten
      const still = moved === watched.moved
      watched.moved = moved
      if (!still) continue
      if (watched.http2 !== undefined) {
        leave(socket, watched.http2)
        continue
      }
      const exchange = knownConnectionOf(socket)?.current
      // An answer under way may have nothing to say for a while; one that the peer does not read has.
      if (exchange === undefined || exchange.finished || socket.writableLength > 0) socket.destroy()
    }
  }

  #endLate(requestMs: number, late: (exchange: Http2Exchange) => void): void {
    const before = performance.now() - requestMs
    for (const { exchanges } of this.#sessions.values())
      for (const [exchange, began] of exchanges) if (began < before && exchange.contentDue) late(exchange)
  }
}

/** As with HTTP/1.1: an answer that the peer does not read is cut off, and a connection without others is ended. */
function leave(socket: Socket, http2: Session): void {
  const unread = [...http2.exchanges.keys()].filter((exchange) => exchange.awaitsPeer)
  if (unread.length < http2.exchanges.size) {
    for (const exchange of unread) exchange.abort()
  } else if (http2.leaving || http2.session.destroyed) {
    // A session that has ended leaves the socket open until the peer closes it too, which some never do.
    socket.destroy()
  } else {
    http2.leaving = true
    http2.session.goaway()
  }
}
