import { bearerToken } from '@portcullis/auth'
import { client } from '@portcullis/grpc'
import { show } from '../../show.ts'
import { get, Orders } from '../orders.ts'
import { start } from '../service-jwt/service.ts'

const { tls, listener, port, origin, issuer } = await start()
const token = await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
const source = bearerToken({ token, targets: [origin] })
const orders = await client(Orders, { host: 'localhost', port, tls: tls.client, source })
show('the service, by token', await get(orders), 'order 7 is shipped, alice')
orders.close()
await listener.close()
