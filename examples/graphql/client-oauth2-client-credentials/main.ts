import { client } from '@portcullis/graphql/client'
import { clientCredentials } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, url, origin, authority, shop, close } = await start()
const credentials = clientCredentials({ server: authority, client: shop, scopes: ['orders:read'], targets: [origin] })
using orders = await client({ url, tls: tls.client, credentials })
const { data } = await orders.execute({ query: '{ order(id: 7) }' })
show('the service', data, { order: 'order 7 is shipped, shop' })
await close()
