import { everyone, guard, serve } from '@portcullis/websocket'
import { developmentTls } from '@portcullis/websocket/development'

/** A WebSocket service over TLS that is open to everyone. */
export async function start() {
  const tls = await developmentTls()
  const listener = await serve({ tls, port: 0, guard: guard({ authenticate: everyone() }) }, (socket) => {
    socket.on('message', (id: Buffer) => socket.send(`order ${id.toString()} is shipped`))
  })
  return { tls, listener, url: listener.url }
}
