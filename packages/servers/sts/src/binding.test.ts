import { secret } from '@portcullis/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  alicePassword,
  claimsOf,
  dpopProof,
  proofKey,
  scene,
  shop,
  shopSecret,
  stockSecret,
  type Answer,
  type Scene,
} from './service.test-support.ts'
import { jwkThumbprint } from '@portcullis/crypto'

let at: Scene
const key = proofKey()
const login = { grant_type: 'password', username: 'alice', password: alicePassword, audience: 'stock' }

beforeAll(async () => {
  at = await scene({
    clients: [
      {
        id: 'shop',
        secret: secret(shopSecret),
        grants: ['client_credentials', 'password', 'refresh_token'],
        audiences: ['orders', 'stock'],
        scopes: ['read'],
        tokens: 'dpop',
      },
      { id: 'stock', secret: secret(stockSecret), serves: ['stock'] },
    ],
  })
})
afterAll(() => at.sts.close())

function withProof(form: Readonly<Record<string, string>>, proof: string): Promise<Answer> {
  return at.token(form, { ...shop, dpop: proof })
}

describe('DPoP (RFC 9449)', () => {
  it('binds JWT and opaque tokens to the key', async () => {
    const jkt = jwkThumbprint(key.jwk)
    const jwt = await withProof({ grant_type: 'client_credentials', audience: 'orders' }, await dpopProof(key, at.sts.tokenEndpoint))
    expect(jwt.body).toMatchObject({ token_type: 'DPoP' })
    expect(claimsOf(jwt.body['access_token'])).toMatchObject({ cnf: { jkt } })
    const opaque = await withProof({ grant_type: 'client_credentials', audience: 'stock' }, await dpopProof(key, at.sts.tokenEndpoint))
    expect((await at.introspect(String(opaque.body['access_token']))).body).toMatchObject({ token_type: 'DPoP', cnf: { jkt } })
  })

  it('is demanded of a client that was set up so', async () => {
    expect(await at.token({ grant_type: 'client_credentials', audience: 'orders' })).toMatchObject({
      status: 400,
      body: { error: 'invalid_grant' },
    })
  })

  it('takes a proof once', async () => {
    const proof = await dpopProof(key, at.sts.tokenEndpoint)
    const form = { grant_type: 'client_credentials', audience: 'orders' }
    expect((await withProof(form, proof)).status).toBe(200)
    expect(await withProof(form, proof)).toMatchObject({ status: 400 })
  })

  it('takes a proof once of many that come at the same moment', async () => {
    const proof = await dpopProof(key, at.sts.tokenEndpoint)
    const form = { grant_type: 'client_credentials', audience: 'orders' }
    const answers = await Promise.all(Array.from({ length: 20 }, () => withProof(form, proof)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  it.each([
    ['for another URL', { htu: 'https://elsewhere.example/oauth2/token' }],
    ['for another method', { htm: 'GET' }],
    ['that is old', { iat: 1_700_000_000 }],
    ['without an identifier', { jti: '' }],
  ])('refuses a proof %s', async (_what, more) => {
    const answer = await withProof(
      { grant_type: 'client_credentials', audience: 'orders' },
      await dpopProof(key, at.sts.tokenEndpoint, more),
    )
    expect(answer).toMatchObject({ status: 400, body: { error: 'invalid_dpop_proof' } })
  })

  it('matches a proof with the configured URL, whatever host the peer says that it asked', async () => {
    const lie = { host: 'elsewhere.example', 'x-forwarded-host': 'elsewhere.example', 'x-forwarded-proto': 'http' }
    const form = { grant_type: 'client_credentials', audience: 'orders' }
    const there = await dpopProof(key, 'https://elsewhere.example/oauth2/token')
    expect(await at.token(form, { ...shop, ...lie, dpop: there }, { servername: 'localhost' })).toMatchObject({
      body: { error: 'invalid_dpop_proof' },
    })
    expect(
      (await at.token(form, { ...shop, ...lie, dpop: await dpopProof(key, at.sts.tokenEndpoint) }, { servername: 'localhost' })).status,
    ).toBe(200)
  })

  it('keeps a refreshed token with its key', async () => {
    const { body } = await withProof(login, await dpopProof(key, at.sts.tokenEndpoint))
    const refresh = { grant_type: 'refresh_token', refresh_token: String(body['refresh_token']) }
    expect((await at.token(refresh)).body).toMatchObject({ error: 'invalid_grant' })
    const again = await withProof(refresh, await dpopProof(key, at.sts.tokenEndpoint))
    expect((await at.introspect(String(again.body['access_token']))).body).toMatchObject({ cnf: { jkt: jwkThumbprint(key.jwk) } })
  })

  it('asks for a nonce where it is told to', async () => {
    await using nonces = await scene({ dpopNonceSecret: secret('a secret of all instances, made at random') })
    const form = { grant_type: 'client_credentials', audience: 'orders' }
    const first = await nonces.token(form, { ...shop, dpop: await dpopProof(key, nonces.sts.tokenEndpoint) })
    expect(first).toMatchObject({ status: 400, body: { error: 'use_dpop_nonce' } })
    const nonce = String(first.headers['dpop-nonce'])
    const second = await nonces.token(form, { ...shop, dpop: await dpopProof(key, nonces.sts.tokenEndpoint, { nonce }) })
    expect(second.status).toBe(200)
    const bad = await nonces.token(form, { ...shop, dpop: await dpopProof(key, nonces.sts.tokenEndpoint, { nonce: 'made-up' }) })
    expect(bad.body).toMatchObject({ error: 'use_dpop_nonce' })
  })
})
