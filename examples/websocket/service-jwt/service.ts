import { serve } from '@portcullis/websocket'
import { developmentTls } from '@portcullis/websocket/development'
import { signedTokens } from '../../mechanisms/jwt.ts'

/** A WebSocket service that verifies tokens by the key of their issuer. */
export async function start() {
  const tls = await developmentTls()
  const { orders, issuer, privateKey } = signedTokens()
  const listener = await serve({ tls, port: 0, guard: orders }, (socket, principal) => {
    socket.on('message', (id: Buffer) => socket.send(`order ${id.toString()} is shipped, ${principal.subject}`))
  })
  return { tls, listener, url: listener.url, origin: listener.server.origin, issuer, privateKey }
}
