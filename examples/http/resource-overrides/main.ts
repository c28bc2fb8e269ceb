import { generateKeyPairSync } from 'node:crypto'
import { client, everyone, guard, json, resource, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { createIssuer, jwt } from '@portcullis/jwt'
import { show } from '../../show.ts'

const tls = await developmentTls()
const { privateKey, publicKey } = generateKeyPairSync('ed25519')
const issuer = createIssuer({ issuer: 'urn:sts', audience: 'bank', key: { privateKey } })
const bank = guard({ authenticate: jwt({ issuer: 'urn:sts', audience: 'bank', keys: { publicKey } }), authorize: scope('accounts:read') })
await using server = await serve({
  tls,
  port: 0,
  guard: bank,
  services: [
    {
      path: '/accounts',
      guard: bank,
      resources: [
        { method: 'GET', path: '/:id', handler: (_request, _principal, { parameters }) => json({ account: parameters['id'] }) },
        {
          method: 'POST',
          path: '/:id/transfers',
          authorize: scope('funds:transfer'),
          handler: () => json({ done: true }, { status: 201 }),
        },
        resource({ method: 'GET', path: '/rates', guard: bank.with({ authenticate: everyone() }), handler: () => json({ rate: 0.02 }) }),
      ],
    },
  ],
})
using call = await client({ tls: tls.client })
const token = await issuer.issue({ subject: 'alice', claims: { scope: 'accounts:read' } })
const status = async (method: string, path: string, text?: string): Promise<number> =>
  (await call(`${server.origin}${path}`, { method, ...(text !== undefined && { headers: { authorization: `Bearer ${text}` } }) })).status

show('an account, with the scope of the listener', await status('GET', '/accounts/7', token), 200)
show('a transfer, which needs another', await status('POST', '/accounts/7/transfers', token), 403)
show('the rates, by nobody', await status('GET', '/accounts/rates'), 200)
show('what is not there, by nobody', await status('GET', '/admin'), 401)
show('what is not there, by alice', await status('GET', '/admin', token), 404)
