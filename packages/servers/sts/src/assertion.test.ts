import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { createIssuer, keySet, type TokenContent } from '@portcullis/jwt'
import { secret } from '@portcullis/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AssertedSubject } from './index.ts'
import { basic, claimsOf, scene, shopSecret, type Answer, type Scene } from './service.test-support.ts'

const partner = 'https://login.partner.example'
const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey

let at: Scene
let accept: (claims: Readonly<Record<string, unknown>>, client: string) => AssertedSubject | undefined

beforeEach(async () => {
  accept = ({ sub }) => ({ subject: `partner:${String(sub)}`, scopes: ['read', 'admin'] })
  at = await scene({
    clients: [
      { id: 'shop', secret: secret(shopSecret), grants: ['jwt_bearer', 'refresh_token'], audiences: ['orders'], scopes: ['read', 'write'] },
    ],
    assertions: [{ issuer: partner, keys: { publicKey }, accept: (claims, client) => accept(claims, client) }],
  })
})
afterEach(() => at.sts.close())

async function assertion(content: TokenContent = {}, init: { issuer?: string; key?: KeyObject; typ?: string } = {}): Promise<string> {
  const { issuer = partner, key = privateKey, typ = 'JWT' } = init
  return createIssuer({ issuer, key: { privateKey: key }, typ }).issue({
    subject: 'ann',
    audience: at.sts.tokenEndpoint,
    expiresInSeconds: 60,
    ...content,
  })
}

function trade(token: string, more: Readonly<Record<string, string>> = {}): Promise<Answer> {
  return at.token({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: token, ...more }, basic('shop', shopSecret))
}

describe('an assertion (RFC 7523)', () => {
  it('is exchanged for a token of whom the issuer speaks of, by the name that they have here', async () => {
    const { status, body } = await trade(await assertion())
    expect(status).toBe(200)
    expect(claimsOf(body['access_token'])).toMatchObject({ sub: 'partner:ann', client_id: 'shop', scope: 'read', aud: 'orders' })
    expect(body).not.toHaveProperty('refresh_token')
    expect((await trade(await assertion({ audience: at.sts.issuer }))).status).toBe(200)
  })

  it.each([
    ['for somebody else', { audience: 'https://elsewhere.example' }, {}],
    ['for a service behind this one', { audience: 'orders' }, {}],
    ['of an unknown issuer', {}, { issuer: 'https://elsewhere.example' }],
    ['signed by another key', {}, { key: stranger }],
    ['that is an access token', {}, { typ: 'at+jwt' }],
    ['bound to a key', { claims: { cnf: { jkt: 'x' } } }, {}],
  ])('is refused %s', async (_what, content, init) => {
    expect(await trade(await assertion(content, init))).toMatchObject({ status: 400, body: { error: 'invalid_grant' } })
  })

  it('is refused malformed, missing, or without the issuer’s yes', async () => {
    expect((await trade('nonsense')).body).toMatchObject({ error: 'invalid_grant' })
    expect((await trade('')).body).toMatchObject({ error: 'invalid_request' })
    accept = () => undefined
    expect((await trade(await assertion())).body).toMatchObject({ error: 'invalid_grant' })
    accept = () => ({ subject: 'shop', scopes: ['read'] })
    expect((await trade(await assertion())).body).toMatchObject({ error: 'invalid_grant' })
  })

  it('gives no scope that the subject lacks', async () => {
    expect((await trade(await assertion(), { scope: 'write' })).body).toMatchObject({ error: 'invalid_scope' })
  })

  it('answers 503 while the issuer’s keys cannot be had', async () => {
    const keys = { ...keySet({ publicKey }), find: () => Promise.reject(new Error('down')) } as unknown as ReturnType<typeof keySet> // A key set whose server is down.
    await using other = await scene({
      clients: [{ id: 'shop', secret: secret(shopSecret), grants: ['jwt_bearer'], audiences: ['orders'], scopes: ['read'] }],
      assertions: [{ issuer: partner, keys, accept: () => ({ subject: 'x', scopes: [] }) }],
    })
    const token = await createIssuer({ issuer: partner, key: { privateKey } }).issue({ subject: 'ann', audience: other.sts.tokenEndpoint })
    const answer = await other.token(
      { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: token },
      basic('shop', shopSecret),
    )
    expect(answer).toMatchObject({ status: 503, body: { error: 'temporarily_unavailable' } })
  })
})
