import { client } from '@portcullis/grpc'
import { createIssuer } from '@portcullis/jwt'
import { jwtBearer } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { get, Orders } from '../orders.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, port, origin, authority, shop, loginKey, sts, close } = await start()
const login = createIssuer({ issuer: 'https://login.localhost', key: { privateKey: loginKey } })
const source = jwtBearer({
  server: authority,
  client: shop,
  assertion: () => login.issue({ subject: 'ann', audience: sts.issuer }),
  scopes: ['orders:read'],
  targets: [origin],
})
const orders = await client(Orders, { host: 'localhost', port, tls: tls.client, source })
show('the service, for ann', await get(orders), 'order 7 is shipped, ann')
show('the service again, with the same token', await get(orders), 'order 7 is shipped, ann')
orders.close()
await close()
