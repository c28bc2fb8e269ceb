import { client } from '@portcullis/grpc'
import { refreshToken } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { get, Orders } from '../orders.ts'
import { start } from '../service-oauth2/service.ts'

const { tls, port, origin, authority, shop, login, close } = await start()
const first = await login()
const kept: string[] = []
const source = refreshToken({
  server: authority,
  client: shop,
  refreshToken: first,
  onRotated: (next) => void kept.push(next.reveal()),
  targets: [origin],
})
const orders = await client(Orders, { host: 'localhost', port, tls: tls.client, source })
show('the service, for alice', await get(orders), 'order 7 is shipped, alice')
show('the refresh token was exchanged for another', kept.length === 1 && kept[0] !== first, true)
orders.close()
await close()
