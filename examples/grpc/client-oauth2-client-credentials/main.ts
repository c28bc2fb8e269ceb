import { client } from '@portcullis/grpc'
import { clientCredentials } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { get, Orders } from '../orders.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, port, origin, authority, shop, close } = await start()
const source = clientCredentials({ server: authority, client: shop, scopes: ['orders:read'], targets: [origin] })
const orders = await client(Orders, { host: 'localhost', port, tls: tls.client, source })
show('the service', await get(orders), 'order 7 is shipped, shop')
show('the service again, with the same token', await get(orders), 'order 7 is shipped, shop')
orders.close()
await close()
