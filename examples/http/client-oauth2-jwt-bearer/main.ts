import { client } from '@portcullis/http'
import { createIssuer } from '@portcullis/jwt'
import { jwtBearer } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, origin, authority, shop, loginKey, sts, close } = await start()
const login = createIssuer({ issuer: 'https://login.localhost', key: { privateKey: loginKey } })
const credentials = jwtBearer({
  server: authority,
  client: shop,
  assertion: () => login.issue({ subject: 'ann', audience: sts.issuer }),
  scopes: ['orders:read'],
  targets: [origin],
})
using call = await client({ tls: tls.client, credentials })
show('the service', await (await call(origin)).json(), { hello: 'ann' })
show('the service again, with the same token', (await call(origin)).status, 200)
await close()
