import type { WebSocket } from 'ws'

/** Marks a socket from which something has come since it was last looked at. */
export const heard: unique symbol = Symbol('portcullis.websocket.heard')

/** A socket that a {@link heartbeat} can tell alive from dead. */
export interface Heard extends WebSocket {
  [heard]: boolean
}

/**
 * Pings all sockets, twice in `idleMs`, and cuts those that have been silent in between: a peer whose network is gone
 * closes nothing. One timer for all of them, by the machine's time: whether a peer lives is no question of the clock
 * that credentials expire by. Returns how to stop.
 */
export function heartbeat(idleMs: number, sockets: Iterable<Heard>): () => void {
  const timer = setInterval(() => {
    for (const socket of sockets) {
      if (!socket[heard]) socket.terminate()
      else {
        socket[heard] = false
        socket.ping()
      }
    }
  }, idleMs / 2).unref()
  return () => clearInterval(timer)
}
