import { selfSignedJwt } from '@portcullis/jwt'
import { connect } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { ask } from '../ask.ts'
import { start } from '../service-jwt/service.ts'

const { tls, listener, url, origin, privateKey } = await start()
const signed = (audience: string) =>
  selfSignedJwt({
    issuer: 'https://sts.localhost',
    subject: 'shop',
    audience,
    claims: { scope: 'orders:read' },
    key: { privateKey },
    targets: [origin],
  })
const answer = Promise.withResolvers<string | Buffer>()
const client = await connect({ url, tls: tls.client, credentials: signed('orders'), onMessage: answer.resolve })
await client.send('7')
show('the service, by a token of our own', await answer.promise, 'order 7 is shipped, shop')
show('a token of our own for somebody else', await ask(url, tls.client, signed('billing')), 'ERR_WEBSOCKET_REFUSED')
await client.close()
await listener.close()
