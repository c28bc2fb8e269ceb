import { tlsBundle } from '@portcullis/tls'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { ask } from '../ask.ts'
import { start } from './service.ts'

const { tls, listener, url } = await start()
show('a client that trusts the service', await ask(url, tls.client), 'order 7 is shipped')
show('a client that does not know its authority', await ask(url, await tlsBundle({ side: 'client' })), 'ERR_TLS_SERVER_UNTRUSTED')
await stay(tls.authority, (ca) => [`npx wscat --ca ${ca} -c ${url}`])
await listener.close()
