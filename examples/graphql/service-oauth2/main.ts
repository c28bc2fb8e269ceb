import { setTimeout as wait } from 'node:timers/promises'
import { bearerToken } from '@portcullis/auth'
import { clientCredentials, revokeToken } from '@portcullis/oauth2'
import { show } from '../../show.ts'
import { ask } from '../orders.ts'
import { start } from './service.ts'

const { tls, url, origin, authority, shop, close } = await start()
const source = clientCredentials({ server: authority, client: shop, scopes: ['orders:read'], targets: [origin] })
const { credential } = await source({ target: { origin, secure: true } })
if (credential.kind !== 'bearer') throw new Error('A token was expected.')
const { token } = credential
const by = (text: string) => bearerToken({ token: text, targets: [origin] })

show('no token', await ask(url, tls.client), 'ERR_GRAPHQL_REFUSED')
show('a token of the authorization server', await ask(url, tls.client, by(token.reveal())), 'order 7 is shipped, shop')
show('a token of nobody', await ask(url, tls.client, by('made-up')), 'ERR_GRAPHQL_REFUSED')
await revokeToken({ server: authority, client: shop, token })
await wait(1_100)
show('the first one, after it was revoked', await ask(url, tls.client, by(token.reveal())), 'ERR_GRAPHQL_REFUSED')
await close()
