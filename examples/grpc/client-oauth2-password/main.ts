import { client } from '@portcullis/grpc'
import { password } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { get, Orders } from '../orders.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, port, origin, authority, shop, close } = await start()
const source = password({
  server: authority,
  client: shop,
  username: 'alice',
  password: 'alice@123',
  scopes: ['orders:read'],
  targets: [origin],
})
const orders = await client(Orders, { host: 'localhost', port, tls: tls.client, source })
show('the service, for alice', await get(orders), 'order 7 is shipped, alice')
show('the service again, with the same token', await get(orders), 'order 7 is shipped, alice')
orders.close()
await close()
