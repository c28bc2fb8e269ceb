import { serve } from '@portcullis/websocket'
import { developmentTls } from '@portcullis/websocket/development'
import { certificatesOfTills } from '../../mechanisms/mutual-tls.ts'

/** A WebSocket service that knows its clients by their certificates. */
export async function start() {
  const tls = await developmentTls({ clientCertificates: 'require' })
  const listener = await serve({ tls, port: 0, guard: certificatesOfTills(tls) }, (socket, principal) => {
    socket.on('message', (id: Buffer) => socket.send(`order ${id.toString()} is shipped, ${principal.subject}`))
  })
  return { tls, listener, url: listener.url, origin: listener.server.origin }
}
