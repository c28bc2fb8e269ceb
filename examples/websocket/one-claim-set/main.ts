import { serve } from '@portcullis/websocket'
import { developmentTls } from '@portcullis/websocket/development'
import { oneClaimSet } from '../../mechanisms/one-claim-set.ts'
import { show } from '../../show.ts'
import { ask } from '../ask.ts'

const tls = await developmentTls()
const { admins, signed } = oneClaimSet()
await using listener = await serve({ tls, port: 0, guard: admins }, (socket, principal) => {
  socket.on('message', (id: Buffer) => socket.send(`order ${id.toString()} is shipped, ${principal.subject}`))
})
const { origin } = listener.server
show('with the claims', await ask(listener.url, tls.client, signed(origin)), 'order 7 is shipped, ballerina')
show('with another scp', await ask(listener.url, tls.client, signed(origin, 'guest')), 'ERR_WEBSOCKET_FORBIDDEN')
show('without a token', await ask(listener.url, tls.client), 'ERR_WEBSOCKET_REFUSED')
