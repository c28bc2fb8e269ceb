import { setTimeout as wait } from 'node:timers/promises'
import { client } from '@portcullis/http'
import { clientCredentials, revokeToken } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { start } from './service.ts'

const { tls, origin, authority, shop, close } = await start()
const source = clientCredentials({ server: authority, client: shop, scopes: ['orders:read'], targets: [origin] })
const { credential } = await source({ target: { origin, secure: true } })
if (credential.kind !== 'bearer') throw new Error('A token was expected.')
const { token } = credential
using call = await client({ tls: tls.client })
const status = async (text: string): Promise<number> => (await call(origin, { headers: { authorization: `Bearer ${text}` } })).status

show('no token', (await call(origin)).status, 401)
show('a token of the authorization server', await status(token.reveal()), 200)
show('a token of nobody', await status('made-up'), 401)
await revokeToken({ server: authority, client: shop, token })
await wait(1_100)
show('the first one, after it was revoked', await status(token.reveal()), 401)
await close()
