import { client } from '@portcullis/graphql/client'
import { selfSignedJwt } from '@portcullis/jwt'
import { show } from '../../show.ts'
import { ask } from '../orders.ts'
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
using orders = await client({ url, tls: tls.client, credentials: signed('orders') })
const { data } = await orders.execute({ query: '{ order(id: 7) }' })
show('the service, by a token of our own', data, { order: 'order 7 is shipped, shop' })
show('a token of our own for somebody else', await ask(url, tls.client, signed('billing')), 'ERR_GRAPHQL_REFUSED')
await listener.close()
