import { bearerToken } from '@portcullis/auth'
import { client } from '@portcullis/http'
import { show } from '../../show.ts'
import { start } from '../service-jwt/service.ts'

const { tls, server, origin, issuer } = await start()
const token = await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
using call = await client({ tls: tls.client, credentials: bearerToken({ token, targets: [origin] }) })
show('the service, by token', await (await call(origin)).json(), { hello: 'alice' })
await server.close()
