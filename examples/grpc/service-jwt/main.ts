import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { status } from '@grpc/grpc-js'
import { bearerToken } from '@portcullis/auth'
import { client } from '@portcullis/grpc'
import { createIssuer } from '@portcullis/jwt'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { ask, Orders } from '../orders.ts'
import { start } from './service.ts'

const { tls, listener, port, origin, issuer } = await start()
const by = (token: string) => bearerToken({ token, targets: [origin] })

const good = await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
show('no token', await ask(port, tls.client), 'UNAUTHENTICATED')
show('a good token', await ask(port, tls.client, by(good)), 'order 7 is shipped, alice')
show('a token without the scope', await ask(port, tls.client, by(await issuer.issue({ subject: 'bob' }))), 'PERMISSION_DENIED')
const elsewhere = await issuer.issue({ subject: 'alice', audience: 'billing' })
show('a token for somebody else', await ask(port, tls.client, by(elsewhere)), 'UNAUTHENTICATED')
const stranger = createIssuer({
  issuer: 'https://sts.localhost',
  audience: 'orders',
  key: { privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey },
})
const forged = await stranger.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
show('a token by a strange key', await ask(port, tls.client, by(forged)), 'UNAUTHENTICATED')
await stay(tls.authority, (ca) => [
  `grpcurl -cacert ${ca} -import-path examples/grpc -proto orders.proto -H 'authorization: Bearer ${good}' ` +
    `-d '{"id":"7"}' localhost:${port} shop.v1.Orders/Get`,
])

// A stream lives no longer than the token that it began with, even if nothing is sent on it.
const short = await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' }, expiresInSeconds: 2 })
const orders = await client(Orders, { host: 'localhost', port, tls: tls.client, source: by(short) })
const stream = orders.follow({ id: '7' }).resume()
const [{ code }] = (await once(stream, 'error')) as [{ readonly code: status }]
show('an open stream, when its token has expired', status[code], 'UNAUTHENTICATED')
orders.close()
await listener.close()
