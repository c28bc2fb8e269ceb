import { basicCredentials } from '@portcullis/auth'
import { client } from '@portcullis/graphql/client'
import { show } from '../../show.ts'
import { start } from '../service-basic-file-store/service.ts'

const { tls, listener, url, origin, store } = await start()
const credentials = basicCredentials({ username: 'alice', password: () => 'alice@123', targets: [origin] })
using orders = await client({ url, tls: tls.client, credentials })
const { data } = await orders.execute({ query: '{ order(id: 7) }' })
show('the service, by password', data, { order: 'order 7 is shipped, alice' })
await listener.close()
store.close()
