import { request as plainRequest } from 'node:http'
import { generateKeyPairSync } from 'node:crypto'
import { createVerifier, type JsonWebKeySet } from '@portcullis/jwt'
import { secret } from '@portcullis/core'
import { plaintextChannel } from '@portcullis/sts/danger'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createSts } from './index.ts'
import { alicePassword, ask, basic, claimsOf, scene, shop, shopSecret, stock, type Scene } from './service.test-support.ts'

let at: Scene
beforeAll(async () => {
  at = await scene()
})
afterAll(() => at.sts.close())
afterEach(() => {
  vi.useRealTimers()
})

const service = { grant_type: 'client_credentials', audience: 'stock' }
const login = { grant_type: 'password', username: 'alice', password: alicePassword, audience: 'stock' }

async function opaque(): Promise<string> {
  return String((await at.token(service)).body['access_token'])
}

describe('introspection (RFC 7662)', () => {
  it('tells the service that a token is for, and the client that got it', async () => {
    const token = await opaque()
    const expected = {
      active: true,
      sub: 'shop',
      client_id: 'shop',
      aud: 'stock',
      iss: at.sts.issuer,
      scope: 'read write',
      token_type: 'Bearer',
    }
    expect((await at.introspect(token)).body).toMatchObject(expected)
    expect((await at.introspect(token, shop)).body).toMatchObject(expected)
    expect((await at.introspect(token)).headers['cache-control']).toContain('no-store')
  })

  it('tells nobody else anything, nor of tokens that are none', async () => {
    await using other = await scene({
      clients: [
        { id: 'shop', secret: secret(shopSecret), grants: ['client_credentials'], audiences: ['stock'], scopes: ['read'] },
        { id: 'bills', secret: secret(shopSecret), serves: ['https://bills.example'] },
      ],
    })
    const { body } = await other.token(service)
    expect((await other.introspect(String(body['access_token']), basic('bills', shopSecret))).body).toEqual({ active: false })
    expect((await at.introspect('nonsense')).body).toEqual({ active: false })
    expect((await at.introspect('__proto__')).body).toEqual({ active: false })
  })

  it('tells a service nothing of refresh tokens', async () => {
    const { body } = await at.token(login)
    expect((await at.introspect(String(body['refresh_token']))).body).toEqual({ active: false })
    expect((await at.introspect(String(body['refresh_token']), shop)).body).toMatchObject({ active: true })
  })

  it('wants to know who asks, and about what', async () => {
    const token = await opaque()
    expect(await at.introspect(token, basic('stock', 'not its secret at all'))).toMatchObject({
      status: 401,
      body: { error: 'invalid_client' },
    })
    expect((await at.introspect(token, {})).status).toBe(400)
    const nothing = await ask(at.sts.introspectionEndpoint, { ca: at.tls.authority, headers: stock }, {})
    expect(nothing).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })

  it('says of a JWT that it is not its business', async () => {
    const { body } = await at.token({ ...service, audience: 'orders' })
    expect(await at.introspect(String(body['access_token']))).toMatchObject({ status: 400, body: { error: 'unsupported_token_type' } })
  })
})

describe('revocation (RFC 7009)', () => {
  it('ends an opaque token at once', async () => {
    const token = await opaque()
    expect((await at.revoke(token)).status).toBe(200)
    expect((await at.introspect(token)).body).toEqual({ active: false })
  })

  it('ends a login with its refresh token', async () => {
    const { body } = await at.token(login)
    expect((await at.revoke(String(body['refresh_token']))).status).toBe(200)
    expect((await at.introspect(String(body['access_token']))).body).toEqual({ active: false })
    const again = await at.token({ grant_type: 'refresh_token', refresh_token: String(body['refresh_token']) })
    expect(again.body).toMatchObject({ error: 'invalid_grant' })
  })

  it('is the client’s own right, and answers the same for what is none', async () => {
    const token = await opaque()
    expect(await at.revoke(token, stock)).toMatchObject({ status: 400, body: { error: 'unauthorized_client' } })
    expect((await at.introspect(token)).body).toMatchObject({ active: true })
    expect((await at.revoke('nonsense')).status).toBe(200)
    expect((await at.revoke(token, basic('shop', 'not its secret at all'))).status).toBe(401)
  })
})

describe('the metadata (RFC 8414)', () => {
  it('name what is there and nothing that needs a browser', async () => {
    const { body } = await at.get('/.well-known/oauth-authorization-server')
    expect(body).toMatchObject({
      issuer: at.sts.issuer,
      token_endpoint: at.sts.tokenEndpoint,
      introspection_endpoint: at.sts.introspectionEndpoint,
      revocation_endpoint: at.sts.revocationEndpoint,
      jwks_uri: at.sts.jwksUri,
      grant_types_supported: ['client_credentials', 'refresh_token', 'password'],
      response_types_supported: [],
      scopes_supported: ['read', 'write', 'admin'],
    })
    expect(body).not.toHaveProperty('authorization_endpoint')
    expect((await at.get('/.well-known/openid-configuration')).body).toEqual(body)
  })

  it('name the configured host, whatever the peer says', async () => {
    const { body } = await ask(`${at.sts.issuer}/.well-known/oauth-authorization-server`, {
      ca: at.tls.authority,
      servername: 'localhost',
      headers: { host: 'elsewhere.example', 'x-forwarded-host': 'elsewhere.example' },
    })
    expect(body['token_endpoint']).toBe(at.sts.tokenEndpoint)
  })
})

describe('the listener', () => {
  it.each(['/auth', '/', '/token', '/oauth2', '/oauth2/token/x', '/me', '/reg', '/session/end', '/interaction/abc'])(
    'has nothing at %s',
    async (path) => {
      expect((await at.get(path)).status).toBe(404)
      expect((await ask(`${at.sts.issuer}${path}`, { ca: at.tls.authority, headers: shop }, service)).status).toBe(404)
    },
  )

  it('takes the methods of its endpoints alone', async () => {
    expect((await at.get('/oauth2/token')).status).toBe(405)
    expect((await ask(at.sts.jwksUri, { ca: at.tls.authority }, {})).status).toBe(405)
  })

  it('is not for pages of other sites', async () => {
    const answer = await at.token(service, { ...shop, origin: 'https://elsewhere.example' })
    expect(answer.status).toBe(400)
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })

  it('listens on loopback, with TLS', async () => {
    expect(at.sts.issuer).toBe(`https://localhost:${at.sts.port}`)
    const status = await new Promise((resolve) => {
      plainRequest({ port: at.sts.port, path: '/oauth2/jwks' }, (response) => resolve(response.statusCode))
        .on('error', () => resolve('cut'))
        .end()
    })
    expect(status).toBe('cut')
  })

  it('speaks HTTP only by the symbol', async () => {
    await using sts = await createSts({
      tls: plaintextChannel,
      audiences: { orders: { scopes: ['read'] } },
      clients: [{ id: 'shop', secret: secret(shopSecret), grants: ['client_credentials'], audiences: ['orders'] }],
    })
    expect(sts.issuer).toBe(`http://localhost:${sts.port}`)
    expect((await fetch(sts.jwksUri)).status).toBe(200)
  })

  it('answers nothing more once it is closed', async () => {
    const other = await scene()
    await other.sts.close()
    await expect(other.get('/oauth2/jwks')).rejects.toThrow(/ECONNREFUSED/)
  })
})

describe('keys', () => {
  it('are EC and RSA, public and named', async () => {
    const keys = (await at.get('/oauth2/jwks')).body['keys'] as readonly Record<string, unknown>[]
    expect(keys).toMatchObject([
      { kty: 'EC', crv: 'P-256', alg: 'ES256', use: 'sig', kid: expect.any(String) },
      { kty: 'RSA', alg: 'RS256', use: 'sig', kid: expect.any(String) },
    ])
    for (const key of keys) expect(Object.keys(key)).not.toEqual(expect.arrayContaining(['d']))
  })

  it('rotate without a restart: new tokens have the new key, old ones still verify until the last has expired', async () => {
    await using other = await scene()
    const form = { ...service, audience: 'orders' }
    const before = String((await other.token(form)).body['access_token'])
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
    const running = other.token(form)
    await other.sts.rotateKeys([{ privateKey, keyId: 'new' }, { privateKey: rsa }])
    expect((await running).status).toBe(200)
    const after = String((await other.token(form)).body['access_token'])
    expect(Buffer.from(after.split('.')[0] ?? '', 'base64url').toString()).toContain('"kid":"new"')
    const jwks = (await other.get('/oauth2/jwks')).body as unknown as JsonWebKeySet // The body is what the endpoint publishes.
    expect(jwks.keys).toHaveLength(4)
    const verifier = createVerifier({ issuer: other.sts.issuer, audience: 'orders', keys: { jwks } })
    for (const token of [before, after]) expect(await verifier.verify(token)).toHaveProperty('claims')
    expect(other.events).toContainEqual(expect.objectContaining({ type: 'keysRotated', keyIds: ['new', expect.any(String)] }))
  })

  it('are all kept where two rotate at once', async () => {
    await using other = await scene()
    const key = (keyId: string) => ({ privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, keyId })
    const rsa = { privateKey: generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey, keyId: 'rsa' }
    await Promise.all([other.sts.rotateKeys([key('first'), rsa]), other.sts.rotateKeys([key('second'), rsa])])
    const jwks = (await other.get('/oauth2/jwks')).body as unknown as JsonWebKeySet // The body is what the endpoint publishes.
    const names = jwks.keys.map((one) => (one as { readonly kid?: string }).kid)
    expect(names).toEqual(expect.arrayContaining(['first', 'second', 'rsa']))
    expect(names).toHaveLength(5)
  })

  it('stay where a rotation makes no sense', async () => {
    const ed = generateKeyPairSync('ed25519').privateKey
    await expect(at.sts.rotateKeys([{ privateKey: ed }])).rejects.toMatchObject({ code: 'ERR_STS_KEY_UNUSABLE' })
    const { body } = await at.token({ ...service, audience: 'orders' })
    expect(claimsOf(body['access_token'])).toMatchObject({ sub: 'shop' })
  })
})
