import { refreshToken } from '@portcullis/oauth2'
import { connect } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, url, origin, authority, shop, login, close } = await start()
const first = await login()
const kept: string[] = []
const credentials = refreshToken({
  server: authority,
  client: shop,
  refreshToken: first,
  onRotated: (next) => void kept.push(next.reveal()),
  targets: [origin],
})
const answer = Promise.withResolvers<string | Buffer>()
const client = await connect({ url, tls: tls.client, credentials, onMessage: answer.resolve })
await client.send('7')
show('the service, for alice', await answer.promise, 'order 7 is shipped, alice')
show('the refresh token was exchanged for another', kept.length === 1 && kept[0] !== first, true)
await client.close()
await close()
