import { basicCredentials } from '@portcullis/auth'
import { connect } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { ask } from '../ask.ts'
import { start } from './service.ts'

const { tls, listener, url, origin, store, write } = await start()
const by = (username: string, password: string) => basicCredentials({ username, password, targets: [origin] })

show('nobody', await ask(url, tls.client), 'ERR_WEBSOCKET_REFUSED')
show('alice', await ask(url, tls.client, by('alice', 'alice@123')), 'order 7 is shipped, alice')
show('alice with a wrong password', await ask(url, tls.client, by('alice', 'guess')), 'ERR_WEBSOCKET_REFUSED')
show('bob, who may not read', await ask(url, tls.client, by('bob', 'bob@123')), 'ERR_WEBSOCKET_FORBIDDEN')
await stay(tls.authority, (ca) => [`npx wscat --ca ${ca} --auth alice:alice@123 -c ${url}`])

const open = await connect({ url, tls: tls.client, credentials: by('alice', 'alice@123'), onMessage: () => undefined, reconnect: false })
await write(['bob', 'bob@123', []])
await store.reload()
show('an open connection of alice, after she was removed', (await open.ended)?.code, 'ERR_WEBSOCKET_REFUSED')
await listener.close()
store.close()
