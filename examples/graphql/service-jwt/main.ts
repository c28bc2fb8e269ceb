import { generateKeyPairSync } from 'node:crypto'
import { bearerToken } from '@portcullis/auth'
import { client } from '@portcullis/graphql/client'
import { createIssuer } from '@portcullis/jwt'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { ask } from '../orders.ts'
import { start } from './service.ts'

const { tls, listener, url, origin, issuer } = await start()
const by = (token: string) => bearerToken({ token, targets: [origin] })

const good = await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
show('no token', await ask(url, tls.client), 'ERR_GRAPHQL_REFUSED')
show('a good token', await ask(url, tls.client, by(good)), 'order 7 is shipped, alice')
show('a token without the scope', await ask(url, tls.client, by(await issuer.issue({ subject: 'bob' }))), 'ERR_GRAPHQL_FORBIDDEN')
const elsewhere = await issuer.issue({ subject: 'alice', audience: 'billing' })
show('a token for somebody else', await ask(url, tls.client, by(elsewhere)), 'ERR_GRAPHQL_REFUSED')
const stranger = createIssuer({
  issuer: 'https://sts.localhost',
  audience: 'orders',
  key: { privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey },
})
const forged = await stranger.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
show('a token by a strange key', await ask(url, tls.client, by(forged)), 'ERR_GRAPHQL_REFUSED')

// One field of two needs another scope: it is null, with an error, and the other is there.
using alice = await client({ url, tls: tls.client, credentials: by(good) })
const { data, errors = [] } = await alice.execute({ query: '{ order(id: 7) turnover }' })
show('a field without its scope', data, { order: 'order 7 is shipped, alice', turnover: null })
show('what its error says', [errors[0]?.path, errors[0]?.extensions?.code], [['turnover'], 'FORBIDDEN'])
await stay(tls.authority, (ca) => [
  `curl --cacert ${ca} -H 'Authorization: Bearer ${good}' --json '{"query":"{ order(id: 7) turnover }"}' ${url}`,
])
await listener.close()
