import { secret } from '@portcullis/core'
import { client, guard, json, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { jwt } from '@portcullis/jwt'
import { authorizationServer, clientCredentials, clientSecretBasic, propagated } from '@portcullis/oauth2'
import { createSts } from '@portcullis/sts'
import { show } from '../../show.ts'

const tls = await developmentTls()
const shop = 'a-secret-of-the-shop'
const orders = 'a-secret-of-orders'
await using sts = await createSts({
  tls,
  audiences: { orders: { scopes: ['orders:read'] }, stock: { scopes: ['stock:read', 'orders:read'] } },
  clients: [
    { id: 'shop', secret: secret(shop), grants: ['client_credentials'], audiences: ['orders'], scopes: ['orders:read'] },
    {
      id: 'orders',
      secret: secret(orders),
      grants: ['token_exchange'],
      audiences: ['stock'],
      scopes: ['orders:read', 'stock:read'],
      serves: ['orders'],
    },
  ],
  exchange: { mayAct: ({ client: actor }) => actor === 'orders' },
})
const server = authorizationServer({ issuer: sts.issuer, tls: tls.client })
const keys = { jwksUri: sts.jwksUri, fetch: await client({ tls: tls.client }) }

const stockGuard = guard({ authenticate: jwt({ issuer: sts.issuer, audience: 'stock', keys }), authorize: scope('orders:read') })
await using stock = await serve({ tls, port: 0, guard: stockGuard }, (_request, principal) => json({ for: principal.subject }))

const asCaller = propagated({
  to: { [stock.origin]: { audience: 'stock', scopes: ['orders:read'] } },
  exchange: { server, client: clientSecretBasic({ clientId: 'orders', clientSecret: orders }) },
})
const toStock = await client({ tls: tls.client, credentials: asCaller })
const ordersGuard = guard({ authenticate: jwt({ issuer: sts.issuer, audience: 'orders', keys }), authorize: scope('orders:read') })
await using service = await serve({ tls, port: 0, guard: ordersGuard }, async (_request, principal) =>
  json(await (await toStock(stock.origin, { onBehalfOf: principal })).json()),
)

using call = await client({
  tls: tls.client,
  credentials: clientCredentials({
    server,
    client: clientSecretBasic({ clientId: 'shop', clientSecret: shop }),
    targets: [service.origin],
  }),
})
show('the stock service knows for whom', await (await call(service.origin)).json(), { for: 'shop' })
toStock.close()
asCaller.close()
