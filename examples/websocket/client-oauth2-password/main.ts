import { password } from '@portcullis/oauth2'
import { connect } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, url, origin, authority, shop, close } = await start()
const credentials = password({
  server: authority,
  client: shop,
  username: 'alice',
  password: 'alice@123',
  scopes: ['orders:read'],
  targets: [origin],
})
const answer = Promise.withResolvers<string | Buffer>()
const client = await connect({ url, tls: tls.client, credentials, onMessage: answer.resolve })
await client.send('7')
show('the service, for alice', await answer.promise, 'order 7 is shipped, alice')
await client.close()
await close()
