import { serve } from '@portcullis/websocket'
import { developmentTls } from '@portcullis/websocket/development'
import { usersOfFile } from '../../mechanisms/basic-file-store.ts'

/** A WebSocket service for the users of a file. */
export async function start() {
  const tls = await developmentTls()
  const { staff, store, write } = await usersOfFile()
  const listener = await serve({ tls, port: 0, guard: staff }, (socket, principal) => {
    socket.on('message', (id: Buffer) => socket.send(`order ${id.toString()} is shipped, ${principal.subject}`))
  })
  return { tls, listener, url: listener.url, origin: listener.server.origin, store, write }
}
