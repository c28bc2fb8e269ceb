import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'

/** A port without TLS that keeps what it is sent, and hangs up. */
export interface RecordingPort {
  readonly port: number
  received(): string
  close(): Promise<void>
}

/** Opens a {@link RecordingPort} on loopback. */
export async function recordingPort(): Promise<RecordingPort> {
  const received: Buffer[] = []
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('data', (bytes) => {
      received.push(bytes)
      // Time for a client that goes on regardless to send the rest.
      setTimeout(() => socket.destroy(), 50)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    received: () => Buffer.concat(received).toString('latin1'),
    async close() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}
