import { startSlapd } from '@portcullis/test-servers'
import { serve } from '@portcullis/websocket'
import { developmentTls } from '@portcullis/websocket/development'
import { usersOfDirectory } from '../../mechanisms/basic-ldap-store.ts'

/** A WebSocket service for the users of a directory, and that directory. */
export async function start() {
  const tls = await developmentTls()
  const directory = await startSlapd()
  const { staff, store } = await usersOfDirectory(directory)
  const listener = await serve({ tls, port: 0, guard: staff }, (socket, principal) => {
    socket.on('message', (id: Buffer) => socket.send(`order ${id.toString()} is shipped, ${principal.subject}`))
  })
  const close = async (): Promise<void> => {
    await listener.close()
    await store.close()
    await directory.stop()
  }
  return { tls, url: listener.url, origin: listener.server.origin, close }
}
