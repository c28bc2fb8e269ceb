import { connect } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { start } from '../service-mutual-tls/service.ts'

const { tls, listener, url } = await start()
const answer = Promise.withResolvers<string | Buffer>()
const client = await connect({ url, tls: await tls.clientFor('till-1'), onMessage: answer.resolve })
await client.send('7')
show('the service, by certificate', await answer.promise, 'order 7 is shipped, till-1')
await client.close()
await listener.close()
