import { client } from '@portcullis/grpc'
import { show } from '../../show.ts'
import { get, Orders } from '../orders.ts'
import { start } from '../service-tls/service.ts'

const { tls, listener, port } = await start()
const trusting = { side: 'client', trust: { pem: tls.authority } } as const
const orders = await client(Orders, { host: 'localhost', port, tls: trusting })
show('the service', await get(orders), 'order 7 is shipped')
orders.close()
const elsewhere = await client(Orders, { host: 'localhost', port, tls: trusting, serverName: 'elsewhere.localhost' })
show('the same, expected under another name', await get(elsewhere), 'UNAVAILABLE')
elsewhere.close()
await listener.close()
