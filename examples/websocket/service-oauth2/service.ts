import { serve } from '@portcullis/websocket'
import { developmentTls } from '@portcullis/websocket/development'
import { tokensOfService } from '../../mechanisms/oauth2.ts'

/** A WebSocket service that asks the token service about each token. */
export async function start() {
  const tls = await developmentTls()
  const { orders, sts, ...tokens } = await tokensOfService(tls)
  const listener = await serve({ tls, port: 0, guard: orders }, (socket, principal) => {
    socket.on('message', (id: Buffer) => socket.send(`order ${id.toString()} is shipped, ${principal.subject}`))
  })
  const close = async (): Promise<void> => {
    await listener.close()
    await sts.close()
  }
  return { ...tokens, tls, sts, url: listener.url, origin: listener.server.origin, close }
}
