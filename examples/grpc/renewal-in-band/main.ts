import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { secret, type CredentialSource } from '@portcullis/core'
import { client } from '@portcullis/grpc'
import { show } from '../../show.ts'
import { Orders } from '../orders.ts'
import { start } from '../service-jwt/service.ts'

const { tls, listener, port, issuer } = await start()
// A source of one's own: tokens that live for three seconds.
const source: CredentialSource = async () => {
  const { token, expiresAt } = await issuer.issueWithExpiry({
    subject: 'alice',
    claims: { scope: 'orders:read' },
    expiresInSeconds: 3,
  })
  return { credential: { kind: 'bearer', carrier: 'authorization', token: secret(token) }, expiresAt }
}
const orders = await client(Orders, { host: 'localhost', port, tls: tls.client, source })
const stream = orders.follow({ id: '7' })
const [order] = (await once(stream, 'data')) as [{ readonly text: string }]
show('the stream', order.text, 'order 7 is shipped, alice')
let ended = false
stream.on('error', () => (ended = true))
await wait(4_000)
show('whether it ended with its first token', ended, false)
orders.close()
await listener.close()
