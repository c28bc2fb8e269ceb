import { generateKeyPairSync } from 'node:crypto'
import { bearerToken } from '@portcullis/auth'
import { createIssuer } from '@portcullis/jwt'
import { connect } from '@portcullis/websocket'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { ask } from '../ask.ts'
import { start } from './service.ts'

const { tls, listener, url, origin, issuer } = await start()
const by = (token: string) => bearerToken({ token, targets: [origin] })

const good = await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
show('no token', await ask(url, tls.client), 'ERR_WEBSOCKET_REFUSED')
show('a good token', await ask(url, tls.client, by(good)), 'order 7 is shipped, alice')
show('a token without the scope', await ask(url, tls.client, by(await issuer.issue({ subject: 'bob' }))), 'ERR_WEBSOCKET_FORBIDDEN')
const elsewhere = await issuer.issue({ subject: 'alice', audience: 'billing' })
show('a token for somebody else', await ask(url, tls.client, by(elsewhere)), 'ERR_WEBSOCKET_REFUSED')
const stranger = createIssuer({
  issuer: 'https://sts.localhost',
  audience: 'orders',
  key: { privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey },
})
const forged = await stranger.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
show('a token by a strange key', await ask(url, tls.client, by(forged)), 'ERR_WEBSOCKET_REFUSED')
await stay(tls.authority, (ca) => [`npx wscat --ca ${ca} -H 'Authorization: Bearer ${good}' -c ${url}`])

// A connection lives no longer than its token, even if nobody says a word.
const short = await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' }, expiresInSeconds: 2 })
const open = await connect({ url, tls: tls.client, credentials: by(short), onMessage: () => undefined, reconnect: false })
show('an open connection, when its token has expired', (await open.ended)?.code, 'ERR_WEBSOCKET_REFUSED')
await listener.close()
