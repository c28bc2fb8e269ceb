import { client } from '@portcullis/http'
import { selfSignedJwt } from '@portcullis/jwt'
import { show } from '../../show.ts'
import { start } from '../service-jwt/service.ts'

const { tls, server, origin, privateKey } = await start()
const signed = (audience: string) =>
  selfSignedJwt({
    issuer: 'https://sts.localhost',
    subject: 'shop',
    audience,
    claims: { scope: 'orders:read' },
    key: { privateKey },
    targets: [origin],
  })
using call = await client({ tls: tls.client, credentials: signed('orders') })
show('the service, by a token of our own', await (await call(origin)).json(), { hello: 'shop' })
using wrong = await client({ tls: tls.client, credentials: signed('billing') })
show('a token of our own for somebody else', (await wrong(origin)).status, 401)
await server.close()
