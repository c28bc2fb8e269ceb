import { randomInt } from 'node:crypto'
import { connect, createServer } from 'node:net'

const taken = new Set<number>()

/**
 * Finds a free TCP port on loopback. It is free, not reserved: between this answer and the server's own bind another process
 * could take it. Chosen at random below the range from which the kernel serves outgoing connections, so that this stays a
 * theory even with several test runs side by side.
 */
export async function freePort(): Promise<number> {
  // Fifty misses in a row mean that something other than chance is at work.
  for (let attempt = 0; attempt < 50; attempt += 1) {
    const port = randomInt(20_000, 32_000)
    if (taken.has(port)) continue
    taken.add(port)
    if (await canListen(port)) return port
  }
  throw new Error('no free port between 20000 and 32000')
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

/** Whether somebody accepts connections on this port of loopback. */
export function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', timeout: 1000 })
    const end = (answer: boolean) => (): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', end(true)).once('error', end(false)).once('timeout', end(false))
  })
}
