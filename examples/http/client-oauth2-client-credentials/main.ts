import { client } from '@portcullis/http'
import { clientCredentials, clientSecretBasic } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, origin, authority, shop, close } = await start()
const credentials = clientCredentials({ server: authority, client: shop, scopes: ['orders:read'], targets: [origin] })
using call = await client({ tls: tls.client, credentials })
show('the service', await (await call(origin)).json(), { hello: 'shop' })
show('the service again, with the same token', (await call(origin)).status, 200)
const guessed = clientCredentials({
  server: authority,
  client: clientSecretBasic({ clientId: 'shop', clientSecret: 'a guess' }),
  targets: [origin],
})
using wrong = await client({ tls: tls.client, credentials: guessed })
show('with a wrong secret', await wrong(origin).catch((error: { code: string }) => error.code), 'ERR_OAUTH_REFUSED')
await close()
