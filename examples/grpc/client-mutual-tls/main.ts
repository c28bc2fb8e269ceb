import { client } from '@portcullis/grpc'
import { show } from '../../show.ts'
import { get, Orders } from '../orders.ts'
import { start } from '../service-mutual-tls/service.ts'

const { tls, listener, port } = await start()
const orders = await client(Orders, { host: 'localhost', port, tls: await tls.clientFor('till-1') })
show('the service, by certificate', await get(orders), 'order 7 is shipped, till-1')
orders.close()
await listener.close()
