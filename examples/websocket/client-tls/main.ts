import { connect } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { start } from '../service-tls/service.ts'

const { tls, listener, url } = await start()
const trusting = { side: 'client', trust: { pem: tls.authority } } as const
const answer = Promise.withResolvers<string | Buffer>()
await using client = await connect({ url, tls: trusting, onMessage: answer.resolve })
await client.send('7')
show('the service', await answer.promise, 'order 7 is shipped')

const attempt = (options: { readonly url: string; readonly serverName?: string }) =>
  connect({ tls: trusting, onMessage: () => undefined, ...options }).catch((error: { code: string }) => error.code)
show('the same, expected under another name', await attempt({ url, serverName: 'elsewhere.localhost' }), 'ERR_TLS_HOST_NAME')
show('without TLS', await attempt({ url: url.replace('wss', 'ws') }), 'ERR_OPTION_INVALID')
await client.close()
await listener.close()
