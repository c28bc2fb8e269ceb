import { client } from '@portcullis/graphql/client'
import { show } from '../../show.ts'
import { start } from '../service-mutual-tls/service.ts'

const { tls, listener, url } = await start()
using orders = await client({ url, tls: await tls.clientFor('till-1') })
const { data } = await orders.execute({ query: '{ order(id: 7) }' })
show('the service, by certificate', data, { order: 'order 7 is shipped, till-1' })
await listener.close()
