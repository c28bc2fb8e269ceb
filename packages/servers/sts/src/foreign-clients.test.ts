import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { secret } from '@portcullis/core'
import { publicJwk } from '@portcullis/crypto'
import * as oidc from 'openid-client'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { alicePassword, scene, shopSecret, stockSecret, type Scene } from './service.test-support.ts'

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
let at: Scene

beforeAll(async () => {
  at = await scene({
    clients: [
      {
        id: 'shop',
        secret: secret(shopSecret),
        grants: ['client_credentials', 'password', 'refresh_token', 'token_exchange'],
        audiences: ['orders', 'stock'],
        scopes: ['read', 'write'],
      },
      { id: 'till', keys: { keys: [publicJwk(pair.publicKey)] }, grants: ['client_credentials'], audiences: ['orders'], scopes: ['read'] },
      { id: 'stock', secret: secret(stockSecret), serves: ['stock'] },
    ],
    exchange: { mayAct: ({ client, subject }) => client === 'shop' && subject.client === 'shop' },
  })
})
afterAll(() => at.sts.close())

describe('openid-client', () => {
  /** Its `fetch`, with our authority. */
  const customFetch: oidc.CustomFetch = (url, { method, headers, body }) =>
    new Promise((resolve, reject) => {
      const sent = request(url, { method, headers, agent: new Agent({ ca: at.tls.authority }) }, (answer) => {
        const chunks: Buffer[] = []
        answer.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject)
        answer.on('end', () => {
          const fields = Object.entries(answer.headers).flatMap(([name, value]) =>
            [value ?? []].flat().map((one) => [name, one] as [string, string]),
          )
          resolve(new Response(Buffer.concat(chunks), { status: answer.statusCode ?? 0, headers: fields }))
        })
      })
      sent.on('error', reject)
      sent.end(body === undefined || body === null ? undefined : String(body as URLSearchParams))
    })

  function discovered(id: string, proof: oidc.ClientAuth, algorithm: 'oauth2' | 'oidc' = 'oauth2'): Promise<oidc.Configuration> {
    return oidc.discovery(new URL(at.sts.issuer), id, undefined, proof, { algorithm, [oidc.customFetch]: customFetch })
  }

  it.each(['oauth2', 'oidc'] as const)(
    'finds the endpoints by %s metadata, and gets a token with its secret in either place',
    async (algorithm) => {
      for (const proof of [oidc.ClientSecretBasic(shopSecret), oidc.ClientSecretPost(shopSecret)]) {
        const configuration = await discovered('shop', proof, algorithm)
        const tokens = await oidc.clientCredentialsGrant(configuration, { audience: 'orders', scope: 'read' })
        expect(tokens).toMatchObject({ token_type: 'bearer', scope: 'read', expires_in: 300 })
      }
    },
  )

  it('proves itself by a signed assertion', async () => {
    const key = await crypto.subtle.importKey(
      'jwk',
      pair.privateKey.export({ format: 'jwk' }),
      { name: 'ECDSA', namedCurve: 'P-256' },
      false,
      ['sign'],
    )
    const tokens = await oidc.clientCredentialsGrant(await discovered('till', oidc.PrivateKeyJwt(key)), {})
    expect(tokens.scope).toBe('read')
  })

  it('logs in, refreshes, introspects and revokes', async () => {
    const configuration = await discovered('shop', oidc.ClientSecretBasic(shopSecret))
    const login = await oidc.genericGrantRequest(configuration, 'password', {
      username: 'alice',
      password: alicePassword,
      audience: 'stock',
    })
    const refreshed = await oidc.refreshTokenGrant(configuration, login.refresh_token ?? '')
    expect(refreshed.refresh_token).not.toBe(login.refresh_token)
    const stock = await discovered('stock', oidc.ClientSecretBasic(stockSecret))
    expect(await oidc.tokenIntrospection(stock, refreshed.access_token)).toMatchObject({ active: true, sub: 'alice', client_id: 'shop' })
    await oidc.tokenRevocation(configuration, refreshed.refresh_token ?? '')
    expect(await oidc.tokenIntrospection(stock, refreshed.access_token)).toEqual({ active: false })
    await expect(oidc.refreshTokenGrant(configuration, refreshed.refresh_token ?? '')).rejects.toMatchObject({
      error: 'invalid_grant',
      status: 400,
    })
  })

  it('gets a token that is bound to its key', async () => {
    const configuration = await discovered('shop', oidc.ClientSecretBasic(shopSecret))
    const DPoP = oidc.getDPoPHandle(configuration, await oidc.randomDPoPKeyPair('ES256'))
    const tokens = await oidc.clientCredentialsGrant(configuration, { audience: 'orders' }, { DPoP })
    expect(tokens.token_type).toBe('dpop')
  })

  it('exchanges a token', async () => {
    const configuration = await discovered('shop', oidc.ClientSecretBasic(shopSecret))
    const login = await oidc.genericGrantRequest(configuration, 'password', {
      username: 'alice',
      password: alicePassword,
      audience: 'orders',
    })
    const exchanged = await oidc.genericGrantRequest(configuration, 'urn:ietf:params:oauth:grant-type:token-exchange', {
      subject_token: login.access_token,
      subject_token_type: 'urn:ietf:params:oauth:token-type:access_token',
      audience: 'stock',
      scope: 'read',
    })
    expect(exchanged).toMatchObject({ scope: 'read', issued_token_type: 'urn:ietf:params:oauth:token-type:access_token' })
  })

  it('is told what was wrong', async () => {
    const wrong = await discovered('shop', oidc.ClientSecretBasic('not the secret of the shop'))
    await expect(oidc.clientCredentialsGrant(wrong, { audience: 'orders' })).rejects.toMatchObject({ status: 401 })
    const right = await discovered('shop', oidc.ClientSecretBasic(shopSecret))
    await expect(oidc.clientCredentialsGrant(right, { audience: 'orders', scope: 'admin' })).rejects.toMatchObject({
      error: 'invalid_scope',
      status: 400,
    })
    await expect(oidc.genericGrantRequest(right, 'urn:none', {})).rejects.toMatchObject({ error: 'unsupported_grant_type', status: 400 })
  })
})

describe('curl', () => {
  const folder = mkdtempSync(join(tmpdir(), 'portcullis-curl-'))
  afterAll(() => rmSync(folder, { recursive: true }))

  async function curl(...args: string[]): Promise<{ readonly status: string; readonly body: Record<string, unknown> }> {
    const authority = join(folder, 'ca.pem')
    writeFileSync(authority, at.tls.authority)
    const { stdout } = await promisify(execFile)('curl', ['-sS', '--cacert', authority, '-w', '\n%{http_code}', ...args])
    const end = stdout.lastIndexOf('\n')
    return { status: stdout.slice(end + 1), body: JSON.parse(stdout.slice(0, end)) as Record<string, unknown> }
  }

  it('gets a token with its secret in the header and in the body, and has it introspected', async () => {
    const form = ['-d', 'grant_type=client_credentials', '-d', 'audience=stock']
    const { status, body } = await curl('-u', `shop:${shopSecret}`, ...form, at.sts.tokenEndpoint)
    expect(status).toBe('200')
    const inBody = await curl(...form, '-d', 'client_id=shop', '--data-urlencode', `client_secret=${shopSecret}`, at.sts.tokenEndpoint)
    expect(inBody.status).toBe('200')
    const told = await curl('-u', `stock:${stockSecret}`, '-d', `token=${String(body['access_token'])}`, at.sts.introspectionEndpoint)
    expect(told.body).toMatchObject({ active: true, client_id: 'shop' })
  })

  it('gets the keys and the metadata', async () => {
    expect((await curl(at.sts.jwksUri)).body['keys']).toHaveLength(2)
    expect((await curl(`${at.sts.issuer}/.well-known/oauth-authorization-server`)).body['issuer']).toBe(at.sts.issuer)
  })

  it('is refused as RFC 6749 section 5.2 says', async () => {
    expect(await curl('-u', 'shop:wrong-secret-of-the-shop', '-d', 'grant_type=client_credentials', at.sts.tokenEndpoint)).toMatchObject({
      status: '401',
      body: { error: 'invalid_client' },
    })
    expect(await curl('-u', `shop:${shopSecret}`, '-d', 'grant_type=magic', at.sts.tokenEndpoint)).toMatchObject({
      status: '400',
      body: { error: 'unsupported_grant_type' },
    })
  })
})
