import { text } from 'node:stream/consumers'
import { bearerToken } from '@portcullis/auth'
import { connect, type ConnectOptions } from '@portcullis/tcp'
import { tlsBundle } from '@portcullis/tls'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { start } from './service.ts'

const { tls, open, closed, issuer, close } = await start()
/** Sends a line, and gives all that comes back; or the code of the error, if there is no connection. */
async function echo(port: number, options: Partial<ConnectOptions> = {}): Promise<string> {
  try {
    const socket = await connect({ host: 'localhost', port, tls: tls.client, ...options })
    socket.end('hello')
    return await text(socket)
  } catch (error) {
    return (error as { readonly code: string }).code
  }
}
const by = (token: string) => ({ source: bearerToken({ token, targets: [`tcp://localhost:${closed}`] }) })
const good = await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
const elsewhere = await issuer.issue({ subject: 'alice', audience: 'billing' })

show('a client that trusts the listener', await echo(open), 'hello')
show(
  'a client that does not know its authority',
  await echo(open, { tls: await tlsBundle({ side: 'client' }) }),
  'ERR_TLS_SERVER_UNTRUSTED',
)
show('the same, expected under another name', await echo(open, { serverName: 'elsewhere.localhost' }), 'ERR_TLS_HOST_NAME')
show('with a token in the first line', await echo(closed, by(good)), 'alice: hello')
show('with a token for somebody else', await echo(closed, by(elsewhere)), '')
show('without a token', await echo(closed), '')
await stay(tls.authority, (ca) => [
  `openssl s_client -quiet -verify_return_error -CAfile ${ca} -connect localhost:${open} -servername localhost`,
])
await close()
