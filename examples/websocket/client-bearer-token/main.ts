import { bearerToken } from '@portcullis/auth'
import { connect } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { start } from '../service-jwt/service.ts'

const { tls, listener, url, origin, issuer } = await start()
const token = await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
const credentials = bearerToken({ token, targets: [origin] })
const answer = Promise.withResolvers<string | Buffer>()
const client = await connect({ url, tls: tls.client, credentials, onMessage: answer.resolve })
await client.send('7')
show('the service, by token', await answer.promise, 'order 7 is shipped, alice')
await client.close()
await listener.close()
