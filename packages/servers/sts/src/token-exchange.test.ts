import { secret } from '@portcullis/core'
import { createSigner } from '@portcullis/jwt'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { StsExchange, StsOptions } from './index.ts'
import { alicePassword, basic, claimsOf, dpopProof, proofKey, scene, shopSecret, type Answer, type Scene } from './service.test-support.ts'

const exchange = 'urn:ietf:params:oauth:grant-type:token-exchange'
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
const jwtType = 'urn:ietf:params:oauth:token-type:jwt'

const gateway = basic('gateway', shopSecret)
const orders = basic('orders', shopSecret)
const other = basic('other', shopSecret)
const secretOf = secret(shopSecret)

const options: Partial<StsOptions> = {
  audiences: {
    orders: { scopes: ['read', 'write', 'refund'] },
    stock: { scopes: ['read', 'write', 'count'], format: 'opaque' },
    bills: { scopes: ['read', 'write'] },
  },
  clients: [
    { id: 'web', secret: secretOf, grants: ['password'], audiences: ['orders', 'stock'], scopes: ['read', 'write'] },
    {
      id: 'gateway',
      secret: secretOf,
      grants: ['client_credentials', 'token_exchange'],
      audiences: ['orders', 'stock'],
      scopes: ['read', 'write'],
      serves: ['stock'],
    },
    {
      id: 'orders',
      secret: secretOf,
      grants: ['client_credentials', 'token_exchange'],
      audiences: ['stock', 'bills'],
      scopes: ['read', 'write', 'count'],
      serves: ['orders', 'bills'],
    },
    { id: 'other', secret: secretOf, grants: ['client_credentials', 'token_exchange'], audiences: ['stock'], scopes: ['read'] },
  ],
}

let at: Scene
let asked: StsExchange[]
let allowed: unknown

beforeEach(async () => {
  asked = []
  allowed = true
  at = await scene({
    ...options,
    exchange: {
      mayAct(one) {
        asked.push(one)
        return allowed as boolean
      },
    },
  })
})
afterEach(async () => {
  vi.useRealTimers()
  await at.sts.close()
})

async function aliceFor(audience: string, scope = 'read write'): Promise<string> {
  const form = { grant_type: 'password', username: 'alice', password: alicePassword, audience, scope }
  return String((await at.token(form, basic('web', shopSecret))).body['access_token'])
}

async function ownToken(client: { readonly authorization: string }, audience = 'stock'): Promise<string> {
  return String((await at.token({ grant_type: 'client_credentials', audience }, client)).body['access_token'])
}

function swap(subject: string, form: Readonly<Record<string, string>>, client = orders): Promise<Answer> {
  return at.token({ grant_type: exchange, subject_token: subject, subject_token_type: accessToken, ...form }, client)
}

describe('impersonation', () => {
  it('gives a service a token for the next one, in the caller’s name', async () => {
    const { status, body } = await swap(await aliceFor('orders'), { audience: 'bills' })
    expect(status).toBe(200)
    expect(body).toMatchObject({ issued_token_type: accessToken, token_type: 'Bearer', scope: 'read write' })
    expect(body).not.toHaveProperty('refresh_token')
    const claims = claimsOf(body['access_token'])
    expect(claims).toMatchObject({ sub: 'alice', client_id: 'orders', aud: 'bills' })
    expect(claims).not.toHaveProperty('act')
    expect(asked).toMatchObject([{ client: 'orders', audience: 'bills', actor: undefined, subject: { subject: 'alice', client: 'web' } }])
  })

  it('takes opaque tokens too, and gives them', async () => {
    const { body } = await swap(await aliceFor('stock'), { audience: 'stock', scope: 'read' }, gateway)
    expect((await at.introspect(String(body['access_token']), gateway)).body).toMatchObject({ active: true, sub: 'alice', scope: 'read' })
  })

  it('gives a JWT where one is asked for, and nothing else', async () => {
    const subject = await aliceFor('orders')
    expect((await swap(subject, { audience: 'bills', requested_token_type: jwtType })).body).toMatchObject({ issued_token_type: jwtType })
    expect((await swap(subject, { audience: 'stock', requested_token_type: jwtType })).body).toMatchObject({ error: 'invalid_request' })
    const refresh = 'urn:ietf:params:oauth:token-type:refresh_token'
    expect((await swap(subject, { audience: 'bills', requested_token_type: refresh })).body).toMatchObject({ error: 'invalid_request' })
  })
})

describe('delegation', () => {
  it('says who acts', async () => {
    const actor = await ownToken(orders)
    const { body } = await swap(await aliceFor('orders'), { audience: 'bills', actor_token: actor, actor_token_type: accessToken })
    expect(claimsOf(body['access_token'])).toMatchObject({ sub: 'alice', act: { sub: 'orders' } })
    expect(asked).toMatchObject([{ actor: { subject: 'orders' } }])
    expect(at.events.at(-1)).toMatchObject({ type: 'issued', grant: 'token_exchange', token: { act: { sub: 'orders' } } })
  })

  it('keeps who acted before, with a new actor and without', async () => {
    const first = await ownToken(orders)
    const one = await swap(await aliceFor('orders'), { audience: 'stock', actor_token: first, actor_token_type: accessToken })
    const token = String(one.body['access_token'])
    expect((await at.introspect(token, gateway)).body).toMatchObject({ sub: 'alice', act: { sub: 'orders' } })
    const second = await ownToken(gateway)
    const two = await swap(token, { audience: 'orders', actor_token: second, actor_token_type: accessToken }, gateway)
    expect(claimsOf(two.body['access_token'])['act']).toEqual({ sub: 'gateway', act: { sub: 'orders' } })
    const three = await swap(token, { audience: 'orders' }, gateway)
    expect(claimsOf(three.body['access_token'])['act']).toEqual({ sub: 'orders' })
  })

  it('refuses an actor’s token that the client did not get itself', async () => {
    const foreign = await ownToken(gateway)
    const form = { audience: 'bills', actor_token: foreign, actor_token_type: accessToken }
    expect((await swap(await aliceFor('orders'), form)).body).toMatchObject({ error: 'invalid_request' })
    const caller = { audience: 'bills', actor_token: await aliceFor('orders'), actor_token_type: accessToken }
    expect((await swap(await aliceFor('orders'), caller)).body).toMatchObject({ error: 'invalid_request' })
  })

  it('heeds a token that names its only actor', async () => {
    await using named = await scene({
      ...options,
      exchange: { mayAct: () => true },
      claims: ({ grant }) => (grant === 'password' ? { may_act: { sub: 'somebody' } } : {}),
    })
    const form = { grant_type: 'password', username: 'alice', password: alicePassword, audience: 'orders' }
    const { body } = await named.token(form, basic('web', shopSecret))
    const swapped = await named.token(
      { grant_type: exchange, subject_token: String(body['access_token']), subject_token_type: accessToken, audience: 'bills' },
      orders,
    )
    expect(swapped).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
  })

  it('refuses a chain without end', async () => {
    let token = await aliceFor('stock')
    const actor = { actor_token: await ownToken(gateway), actor_token_type: accessToken }
    for (let hop = 0; hop < 8; hop++) {
      const { status, body } = await swap(token, { audience: 'stock', ...actor }, gateway)
      expect(status).toBe(200)
      token = String(body['access_token'])
    }
    expect((await swap(token, { audience: 'stock', ...actor }, gateway)).status).toBe(400)
  })
})

describe('the new token', () => {
  it('has no scope that the subject’s lacks', async () => {
    const subject = await aliceFor('orders', 'read')
    expect((await swap(subject, { audience: 'stock' })).body['scope']).toBe('read')
    expect((await swap(subject, { audience: 'stock', scope: 'write' })).body).toMatchObject({ error: 'invalid_scope' })
    // The client and the audience have it; the subject’s token does not.
    expect((await swap(subject, { audience: 'stock', scope: 'read count' })).body['scope']).toBe('read')
  })

  it('has one audience, which the client may ask for', async () => {
    const subject = await aliceFor('orders')
    expect((await swap(subject, { audience: 'orders' })).body).toMatchObject({ error: 'invalid_target' })
    const two = [
      ['grant_type', exchange],
      ['subject_token', subject],
      ['subject_token_type', accessToken],
      ['audience', 'stock'],
      ['audience', 'bills'],
    ] as const
    expect((await at.token(two, orders)).body).toMatchObject({ error: 'invalid_request' })
  })

  it('does not outlive the subject’s, nor the actor’s', async () => {
    vi.useFakeTimers({ toFake: ['Date'] })
    const start = Date.now()
    const actor = await ownToken(orders)
    vi.setSystemTime(start + 100_000)
    const subject = await aliceFor('orders')
    vi.setSystemTime(start + 200_000)
    const alone = await swap(subject, { audience: 'bills' })
    expect(alone.body['expires_in']).toBeLessThanOrEqual(200)
    expect(claimsOf(alone.body['access_token'])['exp']).toBeLessThanOrEqual(Number(claimsOf(subject)['exp']))
    const acted = await swap(subject, { audience: 'bills', actor_token: actor, actor_token_type: accessToken })
    expect(acted.body['expires_in']).toBeLessThanOrEqual(100)
    vi.setSystemTime(start + 401_000)
    expect((await swap(subject, { audience: 'bills' })).body).toMatchObject({ error: 'invalid_request' })
  })
})

describe('an exchange is refused', () => {
  it('without the policy’s yes, whatever else the policy says', async () => {
    const subject = await aliceFor('orders')
    for (allowed of [false, undefined, 1, 'yes', {}]) {
      expect(await swap(subject, { audience: 'bills' })).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
    }
  })

  it('for a token that was neither sent to the client nor issued to it', async () => {
    expect((await swap(await aliceFor('orders'), { audience: 'stock' }, other)).body).toMatchObject({ error: 'invalid_request' })
    expect(asked).toEqual([])
  })

  it('for the client’s own token without the key that it is bound to', async () => {
    const key = proofKey()
    const dpop = { dpop: await dpopProof(key, at.sts.tokenEndpoint) }
    const bound = await at.token({ grant_type: 'client_credentials', audience: 'stock' }, { ...other, ...dpop })
    const subject = String(bound.body['access_token'])
    expect((await swap(subject, { audience: 'stock' }, other)).body).toMatchObject({ error: 'invalid_request' })
    const thief = { ...other, dpop: await dpopProof(proofKey(), at.sts.tokenEndpoint) }
    expect((await swap(subject, { audience: 'stock' }, thief)).body).toMatchObject({ error: 'invalid_request' })
    const holder = { ...other, dpop: await dpopProof(key, at.sts.tokenEndpoint) }
    expect((await swap(subject, { audience: 'stock' }, holder)).body).toMatchObject({ token_type: 'DPoP' })
  })

  it.each([
    ['a token that is none', { subject_token: 'nonsense' }],
    ['no token', { subject_token: '' }],
    ['another type of token', { subject_token_type: 'urn:ietf:params:oauth:token-type:saml2' }],
    ['a refresh token', { subject_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }],
    ['an actor without its type', { actor_token: 'x' }],
    ['an unsigned token', { subject_token: `${Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url')}.e30.` }],
  ])('for %s', async (_what, form) => {
    expect(await swap(await aliceFor('orders'), { audience: 'bills', ...form })).toMatchObject({
      status: 400,
      body: { error: 'invalid_request' },
    })
  })

  it('for a token that was changed, or signed by somebody else', async () => {
    const [header = '', payload = '', signature = ''] = (await aliceFor('orders')).split('.')
    const claims = { ...claimsOf(`.${payload}`), sub: 'root' }
    const forged = `${header}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.${signature}`
    expect((await swap(forged, { audience: 'bills' })).body).toMatchObject({ error: 'invalid_request' })
    const { kid } = JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }
    const signer = createSigner({ key: { privateKey: proofKey().privateKey, keyId: kid }, typ: 'at+jwt' })
    const foreign = await signer.sign(claimsOf(`.${payload}`))
    expect((await swap(foreign, { audience: 'bills' })).body).toMatchObject({ error: 'invalid_request' })
    expect(at.events.at(-1)).toMatchObject({ detail: 'ERR_JWT_SIGNATURE_INVALID' })
  })

  it('for a token that was revoked', async () => {
    const subject = await aliceFor('stock')
    expect((await at.revoke(subject, basic('web', shopSecret))).status).toBe(200)
    expect((await swap(subject, { audience: 'stock' }, gateway)).body).toMatchObject({ error: 'invalid_request' })
  })
})
