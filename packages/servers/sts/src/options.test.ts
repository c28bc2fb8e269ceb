import { generateKeyPairSync } from 'node:crypto'
import { secret } from '@portcullis/core'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { beforeAll, describe, expect, it } from 'vitest'
import { createSts, memoryState, type StsClient, type StsOptions } from './index.ts'
import { alicePassword, basic, scene, shopSecret, stockSecret } from './service.test-support.ts'

let tls: DevelopmentTls
beforeAll(async () => {
  tls = await developmentTls()
})

const client = { id: 'shop', secret: secret('a secret of the shop'), grants: ['client_credentials'], audiences: ['orders'] } as const
const good = { audiences: { orders: { scopes: ['read'] } }, clients: [client] } as const
const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

// What the types refuse too, as plain JavaScript or JSON would have it.
const bad: readonly [string, Record<string, unknown>, string][] = [
  ['a misspelt option', { audience: {} }, 'ERR_OPTION_UNKNOWN'],
  ['no audience', { audiences: {} }, 'ERR_OPTION_MISSING'],
  ['an audience without scopes', { audiences: { orders: { scopes: [] } } }, 'ERR_OPTION_INVALID'],
  ['a scope that is none', { audiences: { orders: { scopes: ['a b'] } } }, 'ERR_OPTION_INVALID'],
  ['a scope of OpenID Connect', { audiences: { orders: { scopes: ['openid'] } } }, 'ERR_OPTION_INVALID'],
  ['an unknown format', { audiences: { orders: { scopes: ['read'], format: 'jwe' } } }, 'ERR_OPTION_INVALID'],
  [
    'an algorithm of an opaque token',
    { audiences: { orders: { scopes: ['read'], format: 'opaque', algorithm: 'ES256' } } },
    'ERR_OPTION_INVALID',
  ],
  ['an algorithm without a key', { audiences: { orders: { scopes: ['read'], algorithm: 'EdDSA' } } }, 'ERR_STS_KEY_UNUSABLE'],
  ['a lifetime of 0', { audiences: { orders: { scopes: ['read'], lifetimeSeconds: 0 } } }, 'ERR_OPTION_INVALID'],
  ['a lifetime of NaN', { audiences: { orders: { scopes: ['read'], lifetimeSeconds: Number.NaN } } }, 'ERR_OPTION_INVALID'],
  ['a lifetime of a week', { audiences: { orders: { scopes: ['read'], lifetimeSeconds: 604_800 } } }, 'ERR_OPTION_INVALID'],
  ['no clients', { clients: [] }, 'ERR_OPTION_MISSING'],
  ['a client twice', { clients: [client, client] }, 'ERR_STS_CLIENT_DUPLICATE'],
  ['a client without a proof', { clients: [{ ...client, secret: undefined }] }, 'ERR_STS_CLIENT_INVALID'],
  ['a client with two proofs', { clients: [{ ...client, authentication: 'none' }] }, 'ERR_STS_CLIENT_INVALID'],
  ['a client with a misspelt key', { clients: [{ ...client, scope: ['read'] }] }, 'ERR_OPTION_UNKNOWN'],
  ['a secret as bare text', { clients: [{ ...client, secret: 'a secret of the shop' }] }, 'ERR_STS_CLIENT_INVALID'],
  ['a short secret', { clients: [{ ...client, secret: secret('short') }] }, 'ERR_STS_CLIENT_INVALID'],
  ['an empty client id', { clients: [{ ...client, id: '' }] }, 'ERR_OPTION_INVALID'],
  ['an unknown grant', { clients: [{ ...client, grants: ['implicit'] }] }, 'ERR_STS_CLIENT_INVALID'],
  ['a grant of the language', { clients: [{ ...client, grants: ['constructor'] }] }, 'ERR_STS_CLIENT_INVALID'],
  ['a client with the password grant, which is off', { clients: [{ ...client, grants: ['password'] }] }, 'ERR_STS_GRANT_NOT_CONFIGURED'],
  [
    'a client with token exchange, without a policy',
    { clients: [{ ...client, grants: ['token_exchange'] }] },
    'ERR_STS_GRANT_NOT_CONFIGURED',
  ],
  ['a client with assertions, without issuers', { clients: [{ ...client, grants: ['jwt_bearer'] }] }, 'ERR_STS_GRANT_NOT_CONFIGURED'],
  ['a client of an unknown audience', { clients: [{ ...client, audiences: ['stock'] }] }, 'ERR_STS_AUDIENCE_UNKNOWN'],
  ['a client that serves an unknown audience', { clients: [{ ...client, serves: ['stock'] }] }, 'ERR_STS_AUDIENCE_UNKNOWN'],
  ['a client with grants for nobody', { clients: [{ ...client, audiences: undefined }] }, 'ERR_STS_CLIENT_INVALID'],
  [
    'a public client with client credentials',
    { clients: [{ ...client, secret: undefined, authentication: 'none' }] },
    'ERR_STS_CLIENT_INVALID',
  ],
  [
    'a certificate with two names',
    { clients: [{ ...client, secret: undefined, certificate: { dns: 'a', uri: 'b' } }] },
    'ERR_STS_CLIENT_INVALID',
  ],
  ['an empty set of keys', { clients: [{ ...client, secret: undefined, keys: { keys: [] } }] }, 'ERR_STS_CLIENT_INVALID'],
  ['an exchange without a policy', { exchange: {} }, 'ERR_OPTION_MISSING'],
  ['an exchange whose policy is a truth', { exchange: { mayAct: true } }, 'ERR_OPTION_INVALID'],
  ['no issuers of assertions', { assertions: [] }, 'ERR_OPTION_INVALID'],
  ['no signing keys', { keys: [] }, 'ERR_STS_KEY_UNUSABLE'],
  ['a signing key twice', { keys: [{ privateKey }, { privateKey }] }, 'ERR_STS_KEY_UNUSABLE'],
  ['a shared state without keys', { state: { ...memoryState(), isShared: true } }, 'ERR_STS_KEYS_REQUIRED'],
  ['a refresh lifetime of 0', { refreshLifetimeSeconds: 0 }, 'ERR_OPTION_INVALID'],
  ['an issuer with a path', { issuer: 'https://localhost/sts' }, 'ERR_OPTION_INVALID'],
  ['a refresh check that is undefined', { mayRefresh: undefined }, 'ERR_OPTION_INVALID'],
  ['a refresh check that is a truth', { mayRefresh: true }, 'ERR_OPTION_INVALID'],
  ['a nonce secret that is undefined', { dpopNonceSecret: undefined }, 'ERR_OPTION_INVALID'],
  ['a nonce secret as bare text', { dpopNonceSecret: 'x'.repeat(32) }, 'ERR_OPTION_INVALID'],
  ['a nonce secret that is short', { dpopNonceSecret: secret('x'.repeat(31)) }, 'ERR_OPTION_INVALID'],
  ['a password grant without users', { passwordGrant: {} }, 'ERR_OPTION_INVALID'],
  ['a report that is no function', { report: 'console' }, 'ERR_OPTION_INVALID'],
]

describe('createSts refuses', () => {
  it.each(bad)('%s', async (_what, options, code) => {
    await expect(createSts({ tls, ...good, ...options } as unknown as StsOptions)).rejects.toMatchObject({ code }) // Wrong on purpose.
  })

  it('to start without tls', async () => {
    await expect(createSts(good as unknown as StsOptions)).rejects.toMatchObject({ code: 'ERR_OPTION_MISSING' }) // Wrong on purpose.
  })
})

describe('a look-up of clients', () => {
  it('is asked for each request, and an outage of it is one of the service', async () => {
    let clients: StsOptions['clients'] = (id) => (id === 'shop' ? { ...client, secret: secret(shopSecret), scopes: ['read'] } : undefined)
    await using at = await scene({ clients: (id) => (clients as (id: string) => never)(id) })
    const form = { grant_type: 'client_credentials' }
    expect((await at.token(form, basic('shop', shopSecret))).status).toBe(200)
    expect((await at.token(form, basic('till', shopSecret))).status).toBe(401)
    clients = () => {
      throw new Error('the database is down')
    }
    expect(await at.token(form, basic('shop', shopSecret))).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } })
    // What was taken from a client that is looked up counts at once, also where it is the same object.
    const same: { -readonly [K in keyof StsClient]: StsClient[K] } = { ...client, secret: secret(shopSecret) }
    clients = () => same as StsClient
    expect((await at.token(form, basic('shop', shopSecret))).status).toBe(200)
    Object.assign(same, { grants: ['password'] })
    expect(await at.token(form, basic('shop', shopSecret))).toMatchObject({ status: 400, body: { error: 'unauthorized_client' } })
    clients = () => ({ ...client, id: 'SHOP' })
    expect((await at.token(form, basic('shop', shopSecret))).status).toBe(401)
  })
  it('ends the tokens of a client that is gone', async () => {
    let isThere = true
    const shopClient: StsClient = {
      id: 'shop',
      secret: secret(shopSecret),
      grants: ['password', 'refresh_token'],
      audiences: ['stock'],
      scopes: ['read'],
    }
    const stockClient: StsClient = { id: 'stock', secret: secret(stockSecret), serves: ['stock'] }
    await using at = await scene({ clients: (id) => (id === 'stock' ? stockClient : isThere && id === 'shop' ? shopClient : undefined) })
    const { body } = await at.token({ grant_type: 'password', username: 'alice', password: alicePassword })
    expect((await at.introspect(String(body['access_token']))).body).toMatchObject({ active: true })
    isThere = false
    expect((await at.introspect(String(body['access_token']))).body).toEqual({ active: false })
    expect((await at.token({ grant_type: 'refresh_token', refresh_token: String(body['refresh_token']) })).status).toBe(401)
  })
})
