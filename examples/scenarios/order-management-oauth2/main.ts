/**
 * An order system whose tokens only the token service can judge. The app's backend calls the gateway: for the web site
 * with a token of its own (client credentials), for the mobile app with one that it gets for the app's ID token (JWT
 * bearer). The gateway asks the token service about each token, and calls the services behind it over mutual TLS.
 */
import { generateKeyPairSync } from 'node:crypto'
import { secret } from '@portcullis/core'
import { client, guard, json, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { createIssuer } from '@portcullis/jwt'
import { authorizationServer, clientCredentials, clientSecretBasic, introspection, jwtBearer, revokeToken } from '@portcullis/oauth2'
import { createSts } from '@portcullis/sts'
import { clientCertificate } from '@portcullis/tls'
import { show } from '../../show.ts'

const tls = await developmentTls({ clientCertificates: 'accept' })

// Where people of the mobile app log in; it gives the app an ID token.
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const login = createIssuer({ issuer: 'https://login.localhost', key: { privateKey } })

await using sts = await createSts({
  tls,
  audiences: { gateway: { scopes: ['customer'], format: 'opaque' } },
  clients: [
    {
      id: 'backend',
      secret: secret('a-secret-of-the-backend'),
      grants: ['client_credentials', 'jwt_bearer'],
      audiences: ['gateway'],
      scopes: ['customer'],
    },
    { id: 'gateway', secret: secret('a-secret-of-the-gateway'), serves: ['gateway'] },
  ],
  assertions: [
    {
      issuer: 'https://login.localhost',
      keys: { publicKey },
      accept: ({ sub, member }) => ({ subject: String(sub), scopes: member === true ? ['customer'] : [] }),
    },
  ],
})

// Behind the gateway: services that know it by its certificate, and nobody else.
const behind = guard({
  name: 'services',
  authenticate: clientCertificate({ tls: tls.server, issuers: { development: { by: 'commonName', principals: { gateway: [] } } } }),
})
await using inventory = await serve({ tls, port: 0, guard: behind }, () => json({ goods: ['Apple'] }))
await using orderService = await serve({ tls, port: 0, guard: behind }, () => json({ order: 'HQCKJ5496' }, { status: 201 }))

// The gateway.
const server = authorizationServer({ issuer: sts.issuer, tls: tls.client })
const customers = guard({
  name: 'gateway',
  authenticate: introspection({
    server,
    client: clientSecretBasic({ clientId: 'gateway', clientSecret: 'a-secret-of-the-gateway' }),
    audience: 'gateway',
    cache: { maxEntries: 10, maxAgeMs: 1_000 },
  }),
  authorize: scope('customer'),
})
const onwards = await client({ tls: await tls.clientFor('gateway') })
await using gateway = await serve({
  tls,
  port: 0,
  guard: customers,
  services: [
    {
      path: '/',
      guard: customers,
      resources: [
        { method: 'GET', path: '/inventory', handler: async () => json(await (await onwards(inventory.origin)).json()) },
        {
          method: 'POST',
          path: '/orders',
          handler: async () => json(await (await onwards(orderService.origin, { method: 'POST' })).json(), { status: 201 }),
        },
      ],
    },
  ],
})

// The backend.
const backend = clientSecretBasic({ clientId: 'backend', clientSecret: 'a-secret-of-the-backend' })
const web = clientCredentials({ server, client: backend, scopes: ['customer'], targets: [gateway.origin] })
const mobile = (member: boolean) =>
  jwtBearer({
    server,
    client: backend,
    assertion: () => login.issue({ subject: 'ann', audience: sts.issuer, claims: { member } }),
    targets: [gateway.origin],
  })

const byWeb = await client({ tls: tls.client, credentials: web })
const byMobile = await client({ tls: tls.client, credentials: mobile(true) })
const byGuest = await client({ tls: tls.client, credentials: mobile(false) })
const byNobody = await client({ tls: tls.client })
const status = async (call: typeof byWeb, method: string, path: string): Promise<number> =>
  (await call(`${gateway.origin}${path}`, { method })).status

show('the web site reads the inventory', await status(byWeb, 'GET', '/inventory'), 200)
show('the web site orders', await status(byWeb, 'POST', '/orders'), 201)
show('the mobile app orders, for ann', await status(byMobile, 'POST', '/orders'), 201)
show('the mobile app orders, for somebody who is no member', await status(byGuest, 'POST', '/orders'), 403)
show('nobody reads the inventory', await status(byNobody, 'GET', '/inventory'), 401)
show('the services behind, without the gateway', (await byNobody(orderService.origin)).status, 403)

// A revocation counts as soon as the gateway asks again, a second later at most.
const { credential } = await web({ target: { origin: gateway.origin, secure: true } })
if (credential.kind === 'bearer') {
  await revokeToken({ server, client: backend, token: credential.token })
  await new Promise((resolve) => setTimeout(resolve, 1_100))
  const bare = await byNobody(`${gateway.origin}/inventory`, { headers: { authorization: `Bearer ${credential.token.reveal()}` } })
  show('a token that was revoked', bare.status, 401)
}
for (const call of [byWeb, byMobile, byGuest, byNobody, onwards]) call.close()
