import { tlsBundle } from '@portcullis/tls'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { ask } from '../orders.ts'
import { start } from './service.ts'

const { tls, listener, url } = await start()
show('a client that trusts the service', await ask(url, tls.client), 'order 7 is shipped')
show('a client that does not know its authority', await ask(url, await tlsBundle({ side: 'client' })), 'ERR_HTTP_TLS')
await stay(tls.authority, (ca) => [`curl --cacert ${ca} --json '{"query":"{ order(id: 7) }"}' ${url}`])
await listener.close()
