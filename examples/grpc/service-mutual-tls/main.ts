import { show } from '../../show.ts'
import { ask } from '../orders.ts'
import { start } from './service.ts'

const { tls, listener, port } = await start()
show('a client with the certificate of till-1', await ask(port, await tls.clientFor('till-1')), 'order 7 is shipped, till-1')
show('a client with the certificate of till-2', await ask(port, await tls.clientFor('till-2')), 'PERMISSION_DENIED')
show('a client with the certificate of mallory', await ask(port, await tls.clientFor('mallory')), 'UNAUTHENTICATED')
show('a client without a certificate', await ask(port, tls.client), 'UNAVAILABLE')
await listener.close()
