import { client } from '@portcullis/graphql/client'
import { show } from '../../show.ts'
import { start } from '../service-tls/service.ts'

const { tls, listener, url } = await start()
const trusting = { side: 'client', trust: { pem: tls.authority } } as const
using orders = await client({ url, tls: trusting })
const { data } = await orders.execute({ query: '{ order(id: 7) }' })
show('the service', data, { order: 'order 7 is shipped' })
using elsewhere = await client({ url, tls: trusting, serverName: 'elsewhere.localhost' })
const refused = await elsewhere.execute({ query: '{ order(id: 7) }' }).catch((error: { code: string }) => error.code)
show('the same, expected under another name', refused, 'ERR_HTTP_TLS')
await listener.close()
