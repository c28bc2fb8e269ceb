import { setTimeout as wait } from 'node:timers/promises'
import { secret } from '@portcullis/core'
import { connect, type CredentialSource } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { start } from '../service-jwt/service.ts'

const { tls, listener, url, issuer } = await start()
// A source of one's own: tokens that live for three seconds.
const credentials: CredentialSource = async () => {
  const { token, expiresAt } = await issuer.issueWithExpiry({
    subject: 'alice',
    claims: { scope: 'orders:read' },
    expiresInSeconds: 3,
  })
  return { credential: { kind: 'bearer', carrier: 'authorization', token: secret(token) }, expiresAt }
}
let opened = 0
const client = await connect({ url, tls: tls.client, credentials, onMessage: () => undefined, onOpen: () => void opened++ })
const [socket] = listener.sockets
const before = socket?.endsAt.getTime() ?? 0
await wait(4_000)
show('the connection, after its first token has expired', client.connected, true)
show('how often it was opened', opened, 1)
show('its end was put off', (socket?.endsAt.getTime() ?? 0) > before, true)
await client.close()
await listener.close()
