import { generateKeyPairSync } from 'node:crypto'
import { memoryUserStore } from '@portcullis/auth'
import { guard, scope, secret } from '@portcullis/core'
import { hashPassword } from '@portcullis/crypto'
import { client } from '@portcullis/http'
import { authorizationServer, clientSecretBasic, introspection } from '@portcullis/oauth2'
import { createSts } from '@portcullis/sts'
import type { DevelopmentTls } from '@portcullis/tls/development'

/** A guard that asks a token service about each token; that service, and what its client `shop` needs to get tokens. */
export async function tokensOfService(tls: DevelopmentTls) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
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
    passwordGrant: {
      users: memoryUserStore({
        name: 'staff',
        users: [{ username: 'alice', password: await hashPassword('alice@123'), scopes: ['orders:read'] }],
      }),
    },
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
  const shop = clientSecretBasic({ clientId: 'shop', clientSecret: 'a-secret-of-the-shop' })

  /** Alice logs in somewhere else; what that leaves is a refresh token. */
  const login = async (): Promise<string> => {
    using call = await client({ tls: tls.client })
    const answer = await call(sts.tokenEndpoint, {
      method: 'POST',
      headers: { authorization: `Basic ${btoa('shop:a-secret-of-the-shop')}`, 'content-type': 'application/x-www-form-urlencoded' },
      body: String(new URLSearchParams({ grant_type: 'password', username: 'alice', password: 'alice@123', scope: 'orders:read' })),
    })
    return ((await answer.json()) as { refresh_token: string }).refresh_token
  }
  return { orders, sts, authority, shop, loginKey: privateKey, login }
}
