import { client } from '@portcullis/grpc'
import { selfSignedJwt } from '@portcullis/jwt'
import { show } from '../../show.ts'
import { ask, get, Orders } from '../orders.ts'
import { start } from '../service-jwt/service.ts'

const { tls, listener, port, origin, privateKey } = await start()
const signed = (audience: string) =>
  selfSignedJwt({
    issuer: 'https://sts.localhost',
    subject: 'shop',
    audience,
    claims: { scope: 'orders:read' },
    key: { privateKey },
    targets: [origin],
  })
const source = signed('orders')
const orders = await client(Orders, { host: 'localhost', port, tls: tls.client, source })
show('the service, by a token of our own', await get(orders), 'order 7 is shipped, shop')
show('a token of our own for somebody else', await ask(port, tls.client, signed('billing')), 'UNAUTHENTICATED')
orders.close()
await listener.close()
