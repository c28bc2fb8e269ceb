import { createIssuer } from '@portcullis/jwt'
import { jwtBearer } from '@portcullis/oauth2'
import { connect } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, url, origin, authority, shop, loginKey, sts, close } = await start()
const login = createIssuer({ issuer: 'https://login.localhost', key: { privateKey: loginKey } })
const credentials = jwtBearer({
  server: authority,
  client: shop,
  assertion: () => login.issue({ subject: 'ann', audience: sts.issuer }),
  scopes: ['orders:read'],
  targets: [origin],
})
const answer = Promise.withResolvers<string | Buffer>()
const client = await connect({ url, tls: tls.client, credentials, onMessage: answer.resolve })
await client.send('7')
show('the service, for ann', await answer.promise, 'order 7 is shipped, ann')
await client.close()
await close()
