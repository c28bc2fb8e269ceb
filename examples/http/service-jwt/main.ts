import { generateKeyPairSync } from 'node:crypto'
import { client } from '@portcullis/http'
import { createIssuer } from '@portcullis/jwt'
import { show } from '../../show.ts'
import { stay } from '../../serving.ts'
import { start } from './service.ts'

const { tls, server, origin, issuer } = await start()
using call = await client({ tls: tls.client })
const status = async (token: string): Promise<number> => (await call(origin, { headers: { authorization: `Bearer ${token}` } })).status

const good = await issuer.issue({ subject: 'alice', claims: { scope: 'orders:read' } })
show('no token', (await call(origin)).status, 401)
show('a good token', await status(good), 200)
show('a token without the scope', await status(await issuer.issue({ subject: 'bob' })), 403)
show('a token for somebody else', await status(await issuer.issue({ subject: 'alice', audience: 'billing' })), 401)
const stranger = createIssuer({
  issuer: 'https://sts.localhost',
  audience: 'orders',
  key: { privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey },
})
show('a token by a strange key', await status(await stranger.issue({ subject: 'alice', claims: { scope: 'orders:read' } })), 401)
await stay(tls.authority, (ca) => [`curl --cacert ${ca} -H 'Authorization: Bearer ${good}' ${origin}`])
await server.close()
