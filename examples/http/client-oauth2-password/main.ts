import { client } from '@portcullis/http'
import { password } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, origin, authority, shop, close } = await start()
const credentials = password({
  server: authority,
  client: shop,
  username: 'alice',
  password: 'alice@123',
  scopes: ['orders:read'],
  targets: [origin],
})
using call = await client({ tls: tls.client, credentials })
show('the service', await (await call(origin)).json(), { hello: 'alice' })
show('the service again, with the same token', (await call(origin)).status, 200)
await close()
