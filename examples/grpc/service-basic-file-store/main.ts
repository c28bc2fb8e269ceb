import { once } from 'node:events'
import { status } from '@grpc/grpc-js'
import { basicCredentials } from '@portcullis/auth'
import { client } from '@portcullis/grpc'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { ask, Orders } from '../orders.ts'
import { start } from './service.ts'

const { tls, listener, port, origin, store, write } = await start()
const by = (username: string, password: string) => basicCredentials({ username, password, targets: [origin] })

show('nobody', await ask(port, tls.client), 'UNAUTHENTICATED')
show('alice', await ask(port, tls.client, by('alice', 'alice@123')), 'order 7 is shipped, alice')
show('alice with a wrong password', await ask(port, tls.client, by('alice', 'guess')), 'UNAUTHENTICATED')
show('bob, who may not read', await ask(port, tls.client, by('bob', 'bob@123')), 'PERMISSION_DENIED')
await stay(tls.authority, (ca) => [
  `grpcurl -cacert ${ca} -import-path examples/grpc -proto orders.proto -H 'authorization: Basic ${btoa('alice:alice@123')}' ` +
    `-d '{"id":"7"}' localhost:${port} shop.v1.Orders/Get`,
])

const orders = await client(Orders, { host: 'localhost', port, tls: tls.client, source: by('alice', 'alice@123') })
const stream = orders.follow({ id: '7' })
await once(stream, 'data')
const over = once(stream, 'error')
await write(['bob', 'bob@123', []])
await store.reload()
const [{ code }] = (await over) as [{ readonly code: status }]
show('an open stream of alice, after she was removed', status[code], 'UNAUTHENTICATED')
orders.close()
await listener.close()
store.close()
