/**
 * An order service whose resources demand a scope each, of tokens that a token service signs; it reads the keys from
 * there, and reserves goods at an inventory service over mutual TLS.
 */
import { memoryUserStore } from '@portcullis/auth'
import { secret } from '@portcullis/core'
import { hashPassword } from '@portcullis/crypto'
import { client, everyone, guard, json, resource, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { jwt } from '@portcullis/jwt'
import { authorizationServer, clientSecretBasic, password } from '@portcullis/oauth2'
import { createSts } from '@portcullis/sts'
import { clientCertificate } from '@portcullis/tls'
import { show } from '../../show.ts'

const tls = await developmentTls({ clientCertificates: 'accept' })

// The token service: two users at two desks, and what each desk may ask for.
const users = memoryUserStore({
  name: 'staff',
  users: [
    { username: 'counter', password: await hashPassword('counter-word'), scopes: ['add_order', 'update_order'] },
    { username: 'admin', password: await hashPassword('admin-word'), scopes: ['add_order', 'update_order', 'cancel_order'] },
  ],
})
await using sts = await createSts({
  tls,
  audiences: { orders: { scopes: ['add_order', 'update_order', 'cancel_order'] } },
  clients: [
    {
      id: 'desk',
      secret: secret('a-secret-of-the-desk'),
      grants: ['password'],
      audiences: ['orders'],
      scopes: ['add_order', 'update_order', 'cancel_order'],
    },
  ],
  passwordGrant: { users },
})

// The inventory service lets nobody in but the order service, by its certificate.
const stock = guard({
  name: 'inventory',
  authenticate: clientCertificate({ tls: tls.server, issuers: { development: { by: 'commonName', principals: { 'order-service': [] } } } }),
})
await using inventory = await serve({ tls, port: 0, guard: stock }, (_request, principal) =>
  json({ reserved: true, for: principal.subject }),
)

// The order service: its policy in one place.
const orders = guard({
  name: 'orders',
  authenticate: jwt({ issuer: sts.issuer, audience: 'orders', keys: { jwksUri: sts.jwksUri, fetch: await client({ tls: tls.client }) } }),
  authorize: scope('add_order'),
})
const toInventory = await client({ tls: await tls.clientFor('order-service') })
await using service = await serve({
  tls,
  port: 0,
  guard: orders,
  services: [
    {
      path: '/orders',
      guard: orders,
      resources: [
        resource({
          method: 'GET',
          path: '/',
          guard: orders.with({ authenticate: everyone() }),
          handler: () => json({ orders: ['HQCKJ5496'] }),
        }),
        {
          method: 'POST',
          path: '/',
          handler: async (_request, principal) => {
            const reserved = await toInventory(inventory.origin)
            return json({ order: 'HQCKJ5496', by: principal.subject, reserved: reserved.ok }, { status: 201 })
          },
        },
        { method: 'PUT', path: '/:id', authorize: scope('update_order'), handler: () => json({ updated: true }) },
        { method: 'DELETE', path: '/:id', authorize: scope('cancel_order'), handler: () => json({ cancelled: true }) },
      ],
    },
  ],
})

// The desks.
const server = authorizationServer({ issuer: sts.issuer, tls: tls.client })
const desk = (username: string, word: string) =>
  client({
    tls: tls.client,
    credentials: password({
      server,
      client: clientSecretBasic({ clientId: 'desk', clientSecret: 'a-secret-of-the-desk' }),
      username,
      password: word,
      targets: { [service.origin]: { audience: 'orders' } },
    }),
  })
const nobody = await client({ tls: tls.client })
const counter = await desk('counter', 'counter-word')
const admin = await desk('admin', 'admin-word')
const status = async (call: typeof nobody, method: string, path: string): Promise<number> =>
  (await call(`${service.origin}${path}`, { method })).status

show('GET /orders by nobody in particular', await status(nobody, 'GET', '/orders'), 200)
show('POST /orders without a token', await status(nobody, 'POST', '/orders'), 401)
show('POST /orders by the counter', await status(counter, 'POST', '/orders'), 201)
show('PUT /orders/HQCKJ5496 by the counter', await status(counter, 'PUT', '/orders/HQCKJ5496'), 200)
show('DELETE /orders/HQCKJ5496 without a token', await status(nobody, 'DELETE', '/orders/HQCKJ5496'), 401)
show('DELETE /orders/HQCKJ5496 by the counter', await status(counter, 'DELETE', '/orders/HQCKJ5496'), 403)
show('DELETE /orders/HQCKJ5496 by the administrator', await status(admin, 'DELETE', '/orders/HQCKJ5496'), 200)
show('the inventory without a certificate', (await nobody(inventory.origin)).status, 403)
const forged = await (
  await desk('counter', 'a guess')
)(`${service.origin}/orders`, { method: 'POST' }).catch((error: { code: string }) => error.code)
show('a token for a wrong password', forged, 'ERR_OAUTH_REFUSED')
for (const call of [nobody, counter, admin, toInventory]) call.close()
