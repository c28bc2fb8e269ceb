import { generateKeyPairSync } from 'node:crypto'
import { memoryUserStore } from '@portcullis/auth'
import { secret } from '@portcullis/core'
import { hashPassword } from '@portcullis/crypto'
import { guard, json, scope, serve } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { authorizationServer, clientSecretBasic, introspection } from '@portcullis/oauth2'
import { createSts } from '@portcullis/sts'

/** A service, and the token service that it asks. */
export async function start() {
  const tls = await developmentTls()
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const users = memoryUserStore({
    name: 'staff',
    users: [{ username: 'alice', password: await hashPassword('alice@123'), scopes: ['orders:read'] }],
  })
  const sts = await createSts({
    tls,
    audiences: { orders: { scopes: ['orders:read'], format: 'opaque', lifetimeSeconds: 60 } },
    clients: [
      {
        id: 'shop',
        secret: secret('a-secret-of-the-shop'),
        grants: ['client_credentials', 'password', 'refresh_token', 'jwt_bearer'],
        audiences: ['orders'],
        scopes: ['orders:read'],
      },
      { id: 'orders', secret: secret('a-secret-of-orders'), serves: ['orders'] },
    ],
    passwordGrant: { users },
    assertions: [
      { issuer: 'https://login.localhost', keys: { publicKey }, accept: ({ sub }) => ({ subject: String(sub), scopes: ['orders:read'] }) },
    ],
  })
  const authority = authorizationServer({ issuer: sts.issuer, tls: tls.client })
  const orders = guard({
    authenticate: introspection({
      server: authority,
      client: clientSecretBasic({ clientId: 'orders', clientSecret: 'a-secret-of-orders' }),
      audience: 'orders',
      cache: { maxEntries: 1_000, maxAgeMs: 1_000 },
    }),
    authorize: scope('orders:read'),
  })
  const server = await serve({ tls, port: 0, guard: orders }, (_request, principal) => json({ hello: principal.subject }))
  const shop = clientSecretBasic({ clientId: 'shop', clientSecret: 'a-secret-of-the-shop' })
  const close = async (): Promise<void> => {
    await server.close()
    await sts.close()
  }
  return { tls, origin: server.origin, sts, authority, shop, loginKey: privateKey, close }
}
