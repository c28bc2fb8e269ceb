import { generateKeyPairSync } from 'node:crypto'
import { memoryUserStore } from '@portcullis/auth'
import { secret } from '@portcullis/core'
import { hashPassword, publicJwk } from '@portcullis/crypto'
import { createIssuer } from '@portcullis/jwt'
import { secureClientOptions } from '@portcullis/tls'
import { afterEach, describe, expect, it } from 'vitest'
import type { StsClient } from './index.ts'
import { ask, basic, claimsOf, scene, type Answer, type Scene } from './service.test-support.ts'

let at: Scene | undefined
afterEach(() => at?.sts.close())

const form = { grant_type: 'client_credentials' }
const rights = { grants: ['client_credentials'], audiences: ['orders'], scopes: ['read'] } as const

async function serveWith(...clients: [StsClient, ...StsClient[]]): Promise<Scene> {
  at = await scene({ clients })
  return at
}

describe('a secret', () => {
  it('may be known by its hash', async () => {
    const served = await serveWith({ id: 'shop', secret: { hash: await hashPassword('some secret of the shop') }, ...rights })
    expect((await served.token(form, basic('shop', 'some secret of the shop'))).status).toBe(200)
    expect((await served.token(form, basic('shop', 'some secret of the shop'))).status).toBe(200)
    expect(await served.token(form, basic('shop', 'some secret of the shoq'))).toMatchObject({
      status: 401,
      body: { error: 'invalid_client' },
    })
  })

  it('may be known by a store, for that client alone', async () => {
    const store = memoryUserStore({
      name: 'clients',
      users: [
        { username: 'shop', password: await hashPassword('some secret of the shop') },
        { username: 'till', password: await hashPassword('some secret of the till') },
      ],
    })
    const served = await serveWith({ id: 'shop', secret: store, ...rights }, { id: 'till', secret: store, ...rights })
    expect((await served.token(form, basic('shop', 'some secret of the shop'))).status).toBe(200)
    expect((await served.token(form, basic('till', 'some secret of the till'))).status).toBe(200)
    expect((await served.token(form, basic('till', 'some secret of the shop'))).status).toBe(401)
  })

  it('may hold every character, encoded as RFC 6749 section 2.3.1 says', async () => {
    const odd = 'a+b%c:d&e=f ü/12345'
    const served = await serveWith({ id: 'shop & co', secret: secret('a+b%c:d&e=f /12345'), ...rights })
    expect((await served.token(form, basic('shop & co', 'a+b%c:d&e=f /12345'))).status).toBe(200)
    expect((await served.token(form, basic('shop & co', odd))).status).toBeGreaterThanOrEqual(400)
  })
})

describe('an assertion', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const client: StsClient = { id: 'shop', keys: { keys: [publicJwk(publicKey)] }, ...rights }

  async function assertion(sts: Scene, more: Readonly<Record<string, string>> = {}, key = privateKey): Promise<Record<string, string>> {
    const issuer = createIssuer({ issuer: more['iss'] ?? 'shop', key: { privateKey: key } })
    const token = await issuer.issue({ subject: 'shop', audience: more['aud'] ?? sts.sts.tokenEndpoint, expiresInSeconds: 60 })
    return { ...form, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: token }
  }

  it('proves the client, once', async () => {
    const served = await serveWith(client)
    const signed = await assertion(served)
    expect((await served.token(signed, {})).status).toBe(200)
    expect((await served.token(signed, {})).body).toMatchObject({ error: 'invalid_client' })
    expect((await served.token(await assertion(served, { aud: served.sts.issuer }), {})).status).toBe(200)
  })

  it('is refused with another key, for somebody else, or by another issuer', async () => {
    const served = await serveWith(client)
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    expect((await served.token(await assertion(served, {}, other), {})).status).toBe(401)
    expect((await served.token(await assertion(served, { aud: 'https://elsewhere.example' }), {})).status).toBe(401)
    expect((await served.token(await assertion(served, { iss: 'till' }), {})).status).toBe(401)
  })

  it('is not gone round by a secret or by nothing', async () => {
    const served = await serveWith(client)
    expect((await served.token(form, basic('shop', 'whatever it is'))).status).toBe(401)
    expect((await served.token({ ...form, client_id: 'shop' }, {})).status).toBe(401)
  })
})

describe('a certificate', () => {
  const client: StsClient = { id: 'shop', certificate: { dns: 'shop.localhost' }, tokens: 'certificate', ...rights }

  async function asked(
    to: Scene,
    name: string | undefined,
    more: Readonly<Record<string, string>> = { client_id: 'shop' },
  ): Promise<Answer> {
    const url = to.sts.tokenEndpoint
    const bundle = name === undefined ? to.tls.client : await to.tls.clientFor(name)
    return ask(url, { ...secureClientOptions(bundle, { host: 'localhost' }), agent: false }, { ...form, ...more })
  }

  it('proves the client that it names, and binds its tokens', async () => {
    const served = await serveWith(client)
    const { status, body } = await asked(served, 'shop')
    expect(status).toBe(200)
    expect(claimsOf(body['access_token'])).toMatchObject({ cnf: { 'x5t#S256': expect.any(String) } })
    const subject = await serveWith({ ...client, certificate: { subject: 'CN=shop' } })
    expect((await asked(subject, 'shop')).status).toBe(200)
  })

  it('is refused with another name, and missing', async () => {
    const served = await serveWith(client)
    expect(await asked(served, 'till')).toMatchObject({ status: 401, body: { error: 'invalid_client' } })
    expect(await asked(served, undefined)).toMatchObject({ status: 401, body: { error: 'invalid_client' } })
  })

  it('binds the tokens of a client that proves itself otherwise', async () => {
    const served = await serveWith({ id: 'shop', secret: secret('a secret of the shop'), tokens: 'certificate', ...rights })
    const proof = { client_id: 'shop', client_secret: 'a secret of the shop' }
    expect((await asked(served, undefined, proof)).body).toMatchObject({ error: 'invalid_grant' })
    expect(claimsOf((await asked(served, 'any', proof)).body['access_token'])).toHaveProperty('cnf')
  })
})

describe('nothing', () => {
  it('is enough for a public client, which introspects no token but its own', async () => {
    at = await scene({
      clients: [
        { id: 'app', authentication: 'none', grants: ['password', 'refresh_token'], audiences: ['stock'], scopes: ['read'] },
        { id: 'till', authentication: 'none', grants: ['password'], audiences: ['stock'], scopes: ['read'] },
      ],
    })
    const login = { grant_type: 'password', username: 'alice', password: 'correct horse battery staple', client_id: 'app' }
    const { status, body } = await at.token(login, {})
    expect(status).toBe(200)
    const url = at.sts.introspectionEndpoint
    const trust = { ca: at.tls.authority }
    const token = String(body['access_token'])
    expect((await ask(url, trust, { token, client_id: 'app' })).body).toMatchObject({ active: true })
    expect((await ask(url, trust, { token, client_id: 'till' })).body).toEqual({ active: false })
  })
})
