import { client } from '@portcullis/http'
import { refreshToken } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, origin, authority, shop, sts, close } = await start()
// Somebody has logged in elsewhere; what that left is a refresh token.
using bare = await client({ tls: tls.client })
const login = await bare(sts.tokenEndpoint, {
  method: 'POST',
  headers: { authorization: `Basic ${btoa('shop:a-secret-of-the-shop')}`, 'content-type': 'application/x-www-form-urlencoded' },
  body: String(new URLSearchParams({ grant_type: 'password', username: 'alice', password: 'alice@123', scope: 'orders:read' })),
})
const { refresh_token: first } = (await login.json()) as { refresh_token: string }
const kept: string[] = []
const credentials = refreshToken({
  server: authority,
  client: shop,
  refreshToken: first,
  onRotated: (next) => void kept.push(next.reveal()),
  targets: [origin],
})
using call = await client({ tls: tls.client, credentials })
show('the service', await (await call(origin)).json(), { hello: 'alice' })
show('the service again, with the same token', (await call(origin)).status, 200)
show('the refresh token was exchanged for another', kept.length === 1 && kept[0] !== first, true)
await close()
