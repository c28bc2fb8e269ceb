import { tlsBundle } from '@portcullis/tls'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { ask } from '../orders.ts'
import { start } from './service.ts'

const { tls, listener, port } = await start()
show('a client that trusts the service', await ask(port, tls.client), 'order 7 is shipped')
show('a client that does not know its authority', await ask(port, await tlsBundle({ side: 'client' })), 'UNAVAILABLE')
await stay(tls.authority, (ca) => [
  `grpcurl -cacert ${ca} -import-path examples/grpc -proto orders.proto -d '{"id":"7"}' localhost:${port} shop.v1.Orders/Get`,
])
await listener.close()
