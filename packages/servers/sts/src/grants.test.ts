import { secret, UnavailableError } from '@portcullis/core'
import { userStore } from '@portcullis/auth'
import { createVerifier, type JsonWebKeySet } from '@portcullis/jwt'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { alicePassword, basic, claimsOf, scene, shop, shopSecret, type Scene } from './service.test-support.ts'

let at: Scene
beforeAll(async () => {
  at = await scene()
})
afterAll(() => at.sts.close())
afterEach(() => {
  vi.useRealTimers()
})

const login = { grant_type: 'password', username: 'alice', password: alicePassword }

describe('client credentials', () => {
  it('gives a JWT that the published keys verify', async () => {
    const { status, body, headers } = await at.token({ grant_type: 'client_credentials', audience: 'orders', scope: 'read' })
    expect(status).toBe(200)
    expect(headers['cache-control']).toContain('no-store')
    expect(body).toMatchObject({ token_type: 'Bearer', expires_in: 300, scope: 'read' })
    const jwks = (await at.get('/oauth2/jwks')).body as unknown as JsonWebKeySet // The body is what the endpoint publishes.
    const verifier = createVerifier({ issuer: at.sts.issuer, audience: 'orders', keys: { jwks }, profile: 'rfc9068' })
    const verified = await verifier.verify(String(body['access_token']))
    expect(verified).toMatchObject({ header: { alg: 'ES256', typ: 'at+jwt' }, claims: { sub: 'shop', client_id: 'shop', scope: 'read' } })
    expect(at.events.at(-1)).toMatchObject({ type: 'issued', grant: 'client_credentials', token: { subject: 'shop', scopes: ['read'] } })
  })

  it('takes the client’s secret in the body too', async () => {
    const { status } = await at.token(
      { grant_type: 'client_credentials', audience: 'orders', client_id: 'shop', client_secret: shopSecret },
      {},
    )
    expect(status).toBe(200)
  })

  it('signs and limits as the audience says, which resource may name too', async () => {
    const { body } = await at.token({ grant_type: 'client_credentials', resource: 'https://bills.example' })
    expect(body).toMatchObject({ expires_in: 60, scope: 'read' })
    expect(Buffer.from(String(body['access_token']).split('.')[0] ?? '', 'base64url').toString()).toContain('RS256')
    expect(claimsOf(body['access_token'])).toMatchObject({ aud: 'https://bills.example' })
  })

  it('gives everything that the client may have where no scope is asked for, and no refresh token', async () => {
    const { body } = await at.token({ grant_type: 'client_credentials', audience: 'orders' })
    expect(body['scope']).toBe('read write')
    expect(body).not.toHaveProperty('refresh_token')
  })

  it.each([
    ['a scope beyond the client’s', { audience: 'orders', scope: 'read admin' }, 400, 'invalid_scope'],
    ['a scope that is none', { audience: 'orders', scope: 'a"b' }, 400, 'invalid_scope'],
    ['no audience where there are several', {}, 400, 'invalid_target'],
    ['an unknown audience', { audience: 'elsewhere' }, 400, 'invalid_target'],
    ['an audience of the language', { audience: '__proto__' }, 400, 'invalid_target'],
    ['two audiences that differ', { audience: 'orders', resource: 'https://bills.example' }, 400, 'invalid_target'],
  ])('refuses %s', async (_what, form, status, error) => {
    expect(await at.token({ grant_type: 'client_credentials', ...form })).toMatchObject({ status, body: { error } })
  })

  it('refuses a parameter that comes twice', async () => {
    const form = [
      ['grant_type', 'client_credentials'],
      ['audience', 'orders'],
      ['audience', 'stock'],
    ] as const
    expect(await at.token(form)).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })
})

describe('the client', () => {
  const form = { grant_type: 'client_credentials', audience: 'orders' }
  it.each([
    ['a wrong secret', basic('shop', 'not the secret of the shop'), 401, 'invalid_client'],
    ['an empty secret', basic('shop', ''), 400, 'invalid_request'],
    ['an unknown client', basic('nobody', shopSecret), 401, 'invalid_client'],
    ['a client of the language', basic('__proto__', shopSecret), 401, 'invalid_client'],
    ['no client', {}, 400, 'invalid_request'],
    ['another scheme', { authorization: 'Bearer abc' }, 400, 'invalid_request'],
    ['no base64', { authorization: 'Basic !!!' }, 400, 'invalid_request'],
    ['a client without this grant', basic('stock', 'stock-secret-of-32-random-letter'), 400, 'unauthorized_client'],
  ])('is refused with %s', async (_what, headers, status, error) => {
    const answer = await at.token(form, headers)
    expect(answer).toMatchObject({ status, body: { error } })
    expect(answer.body).not.toHaveProperty('access_token')
    if (status === 401) expect(answer.headers['www-authenticate']).toMatch(/^Basic /)
  })

  it('is refused with a secret in two places', async () => {
    expect(await at.token({ ...form, client_secret: shopSecret })).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })

  it('is refused with a grant that nobody knows, and with none', async () => {
    expect(await at.token({ grant_type: 'magic' })).toMatchObject({ status: 400, body: { error: 'unsupported_grant_type' } })
    expect(await at.token({ grant_type: 'authorization_code' })).toMatchObject({ body: { error: 'unsupported_grant_type' } })
    expect(await at.token({ scope: 'read' })).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })

  it('is refused with a body that is too large, or of another type', async () => {
    const large = await at.token({ ...form, scope: 'x'.repeat(60_000) }, shop)
    expect(large.status).toBe(400)
    const json = await at.token(form, { ...shop, 'content-type': 'application/json' })
    expect(json).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })
})

describe('password', () => {
  it('gives tokens for the user, with what user, client and audience have in common', async () => {
    const { body } = await at.token({ ...login, audience: 'orders' })
    expect(claimsOf(body['access_token'])).toMatchObject({ sub: 'alice', client_id: 'shop', scope: 'read write' })
    expect(body['refresh_token']).toEqual(expect.any(String))
    const bob = await at.token({ ...login, username: 'bob', audience: 'orders', scope: 'read write' })
    expect(bob.body['scope']).toBe('read')
  })

  it.each([
    ['a wrong password', { password: 'wrong' }, 'invalid_grant'],
    ['an unknown user', { username: 'mallory' }, 'invalid_grant'],
    ['a name with control characters', { username: 'alice\u0000' }, 'invalid_grant'],
    ['a password longer than any', { password: 'x'.repeat(2000) }, 'invalid_grant'],
    ['no password', { password: '' }, 'invalid_request'],
    ['a user with the name of a client', { username: 'shop' }, 'invalid_grant'],
    ['a scope that the user lacks', { username: 'bob', scope: 'write' }, 'invalid_scope'],
  ])('refuses %s', async (_what, form, error) => {
    expect(await at.token({ ...login, audience: 'orders', ...form })).toMatchObject({ status: 400, body: { error } })
  })

  it('is off until it is named', async () => {
    await using other = await scene({
      clients: [{ id: 'shop', secret: secret(shopSecret), grants: ['client_credentials'], audiences: ['orders'], scopes: ['read'] }],
      passwordGrant: undefined as never,
    })
    expect(await other.token(login)).toMatchObject({ status: 400, body: { error: 'unsupported_grant_type' } })
  })

  it('answers 503 while the store of users is down, and says so to the log alone', async () => {
    const users = userStore('down', () => {
      throw new UnavailableError('ERR_LDAP_DOWN', { message: 'the directory at 10.0.0.7 is down', retryAfterMs: 2000 })
    })
    await using other = await scene({ passwordGrant: { users } })
    const answer = await other.token({ ...login, audience: 'orders' })
    expect(answer).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } })
    expect(answer.headers['retry-after']).toBe('2')
    expect(answer.text).not.toContain('10.0.0.7')
    expect(other.events.at(-1)).toMatchObject({ type: 'failed' })
  })

  it('gives no token beyond the end of the account', async () => {
    const users = userStore('short', () => ({ username: 'carol', scopes: ['read'], expiresAt: new Date(Date.now() + 5_000) }))
    await using other = await scene({ passwordGrant: { users } })
    const { body } = await other.token({ ...login, audience: 'orders' })
    expect(body['expires_in']).toBeLessThanOrEqual(5)
    const over = userStore('over', () => ({ username: 'carol', scopes: ['read'], expiresAt: new Date(Date.now() - 1) }))
    await using ended = await scene({ passwordGrant: { users: over } })
    expect((await ended.token({ ...login, audience: 'orders' })).status).toBe(400)
  })
})

describe('refresh token', () => {
  async function loggedIn(): Promise<string> {
    const { body } = await at.token({ ...login, audience: 'stock' })
    return String(body['refresh_token'])
  }
  const refresh = (token: string, more = {}) => at.token({ grant_type: 'refresh_token', refresh_token: token, ...more })

  it('is exchanged for a new one each time', async () => {
    const first = await loggedIn()
    const { status, body } = await refresh(first)
    expect(status).toBe(200)
    expect(body['refresh_token']).not.toBe(first)
    expect(at.events.at(-1)).toMatchObject({ type: 'issued', grant: 'refresh_token', token: { subject: 'alice' } })
    expect((await refresh(String(body['refresh_token']))).status).toBe(200)
  })

  it('ends the login when it comes twice, with everything that was issued for it', async () => {
    const first = await loggedIn()
    const { body } = await refresh(first)
    expect(await refresh(first)).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    expect(at.events.at(-1)).toMatchObject({ type: 'reused', client: 'shop' })
    expect((await at.introspect(String(body['access_token']))).body).toEqual({ active: false })
    expect((await refresh(String(body['refresh_token']))).body).toMatchObject({ error: 'invalid_grant' })
  })

  it('gives no more scopes than it had, and fewer where asked', async () => {
    const { body } = await at.token({ ...login, audience: 'stock', scope: 'read' })
    expect((await refresh(String(body['refresh_token']), { scope: 'read write' })).body).toMatchObject({ error: 'invalid_scope' })
    expect((await refresh(String(body['refresh_token']), { resource: 'https://bills.example' })).body).toMatchObject({
      error: 'invalid_target',
    })
    const both = await loggedIn()
    expect((await refresh(both, { scope: 'read' })).body).toMatchObject({ scope: 'read' })
  })

  it('is of no use to another client, or made up', async () => {
    const token = await loggedIn()
    await using other = await scene({
      clients: [
        { id: 'shop', secret: secret(shopSecret), grants: ['password', 'refresh_token'], audiences: ['stock'], scopes: ['read'] },
        { id: 'thief', secret: secret(shopSecret), grants: ['refresh_token'], audiences: ['stock'], scopes: ['read'] },
      ],
    })
    const { body } = await other.token(login)
    const stolen = await other.token(
      { grant_type: 'refresh_token', refresh_token: String(body['refresh_token']) },
      basic('thief', shopSecret),
    )
    expect(stolen).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
    expect((await other.token({ grant_type: 'refresh_token', refresh_token: token })).body).toMatchObject({ error: 'invalid_grant' })
    expect((await refresh('x'.repeat(43))).body).toMatchObject({ error: 'invalid_grant' })
    expect((await at.token({ grant_type: 'refresh_token' })).body).toMatchObject({ error: 'invalid_request' })
  })

  it('ends when the login was to end, however often it is refreshed', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const start = Date.now()
    await using other = await scene({ refreshLifetimeSeconds: 100 })
    const { body } = await other.token({ ...login, audience: 'stock' })
    vi.setSystemTime(start + 90_000)
    const second = await other.token({ grant_type: 'refresh_token', refresh_token: String(body['refresh_token']) })
    expect(second.status).toBe(200)
    // Not later than the login, though the audience allows more.
    expect(second.body['expires_in']).toBeLessThanOrEqual(10)
    vi.setSystemTime(start + 101_000)
    const third = await other.token({ grant_type: 'refresh_token', refresh_token: String(second.body['refresh_token']) })
    expect(third).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
  })

  it.each([undefined, null, 0, 'no', 1, {}])('ends where anything but true is said of the login: %j', async (said) => {
    for (const mayRefresh of [() => said, () => Promise.resolve(said)]) {
      await using other = await scene({ mayRefresh: mayRefresh as () => boolean })
      const { body } = await other.token({ ...login, audience: 'stock' })
      expect(await other.token({ grant_type: 'refresh_token', refresh_token: String(body['refresh_token']) })).toMatchObject({
        status: 400,
        body: { error: 'invalid_grant' },
      })
    }
  })

  it('ends when the login does not hold any more', async () => {
    let employed = true
    await using other = await scene({ mayRefresh: ({ subject, client }) => employed && subject === 'alice' && client === 'shop' })
    const { body } = await other.token({ ...login, audience: 'stock' })
    const second = await other.token({ grant_type: 'refresh_token', refresh_token: String(body['refresh_token']) })
    expect(second.status).toBe(200)
    employed = false
    expect(await other.token({ grant_type: 'refresh_token', refresh_token: String(second.body['refresh_token']) })).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    })
  })
})

describe('lifetimes', () => {
  it('are kept to the second', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const start = Math.floor(Date.now() / 1000) * 1000
    vi.setSystemTime(start)
    await using other = await scene({ audiences: { stock: { scopes: ['read'], format: 'opaque', lifetimeSeconds: 2 } }, ...oneAudience })
    const { body } = await other.token({ grant_type: 'client_credentials' })
    vi.setSystemTime(start + 1_999)
    expect((await other.introspect(String(body['access_token']))).body).toMatchObject({ active: true, sub: 'shop', aud: 'stock' })
    vi.setSystemTime(start + 2_000)
    expect((await other.introspect(String(body['access_token']))).body).toEqual({ active: false })
  })
})

const oneAudience = {
  clients: [
    { id: 'shop', secret: secret(shopSecret), grants: ['client_credentials'], audiences: ['stock'], scopes: ['read'] },
    { id: 'stock', secret: secret('stock-secret-of-32-random-letter'), serves: ['stock'] },
  ],
} as const

describe('claims', () => {
  it('add fields to tokens and to introspection', async () => {
    await using other = await scene({
      claims: ({ grant, subject, client }) => ({ extension_field: `${grant}/${subject}/${client}` }),
    })
    const jwt = await other.token({ ...login, audience: 'orders' })
    expect(claimsOf(jwt.body['access_token'])).toMatchObject({ extension_field: 'password/alice/shop', sub: 'alice' })
    const opaque = await other.token({ grant_type: 'client_credentials', audience: 'stock' })
    const told = await other.introspect(String(opaque.body['access_token']))
    expect(told.body).toMatchObject({ active: true, extension_field: 'client_credentials/shop/shop' })
  })

  it.each(['sub', 'scope', 'act', 'cnf', 'active', 'iss'])('never set %s', async (name) => {
    await using other = await scene({ claims: () => ({ [name]: 'admin' }) })
    const answer = await other.token({ grant_type: 'client_credentials', audience: 'orders' })
    expect(answer).toMatchObject({ status: 500, body: { error: 'server_error' } })
    expect(other.events.at(-1)).toMatchObject({ type: 'failed', cause: { code: 'ERR_STS_CLAIM_RESERVED' } })
  })
})
