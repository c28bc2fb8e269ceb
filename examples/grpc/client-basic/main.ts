import { basicCredentials } from '@portcullis/auth'
import { client } from '@portcullis/grpc'
import { show } from '../../show.ts'
import { get, Orders } from '../orders.ts'
import { start } from '../service-basic-file-store/service.ts'

const { tls, listener, port, origin, store } = await start()
const source = basicCredentials({ username: 'alice', password: () => 'alice@123', targets: [origin] })
const orders = await client(Orders, { host: 'localhost', port, tls: tls.client, source })
show('the service, by password', await get(orders), 'order 7 is shipped, alice')
orders.close()
await listener.close()
store.close()
