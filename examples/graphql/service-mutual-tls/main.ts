import { show } from '../../show.ts'
import { ask } from '../orders.ts'
import { start } from './service.ts'

const { tls, listener, url } = await start()
show('a client with the certificate of till-1', await ask(url, await tls.clientFor('till-1')), 'order 7 is shipped, till-1')
show('a client with the certificate of till-2', await ask(url, await tls.clientFor('till-2')), 'ERR_GRAPHQL_FORBIDDEN')
show('a client with the certificate of mallory', await ask(url, await tls.clientFor('mallory')), 'ERR_GRAPHQL_FORBIDDEN')
show('a client without a certificate', await ask(url, tls.client), 'ERR_HTTP_TLS')
await listener.close()
