import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { bearerToken } from '@portcullis/auth'
import { client } from '@portcullis/http'
import { developmentTls } from '@portcullis/tls/development'
import { signedTokens } from '../../mechanisms/jwt.ts'
import { show } from '../../show.ts'
import { guarded } from './adapter.ts'

const tls = await developmentTls()
const { orders, issuer } = signedTokens()
const server = guarded(tls, orders, (_request, response, principal) => response.end(`hello, ${principal.subject}`))
await once(server.listen(0, '127.0.0.1'), 'listening')
const origin = `https://localhost:${(server.address() as AddressInfo).port}`

using nobody = await client({ tls: tls.client })
const refused = await nobody(origin)
show('no token', [refused.status, refused.headers.get('www-authenticate')], [401, 'Bearer'])
const by = async (content: Parameters<typeof issuer.issue>[0]) =>
  client({ tls: tls.client, credentials: bearerToken({ token: await issuer.issue(content), targets: [origin] }) })
using alice = await by({ subject: 'alice', claims: { scope: 'orders:read' } })
show('a good token', await (await alice(origin)).text(), 'hello, alice')
using bob = await by({ subject: 'bob' })
show('a token without the scope', (await bob(origin)).status, 403)
using elsewhere = await by({ subject: 'alice', audience: 'billing' })
show('a token for somebody else', (await elsewhere(origin)).status, 401)
show('what is no credential', (await nobody(origin, { headers: { authorization: 'Bearer' } })).status, 400)
server.close()
