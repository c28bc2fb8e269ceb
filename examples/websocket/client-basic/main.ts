import { basicCredentials } from '@portcullis/auth'
import { connect } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { start } from '../service-basic-file-store/service.ts'

const { tls, listener, url, origin, store } = await start()
const credentials = basicCredentials({ username: 'alice', password: () => 'alice@123', targets: [origin] })
const answer = Promise.withResolvers<string | Buffer>()
const client = await connect({ url, tls: tls.client, credentials, onMessage: answer.resolve })
await client.send('7')
show('the service, by password', await answer.promise, 'order 7 is shipped, alice')
await client.close()
await listener.close()
store.close()
