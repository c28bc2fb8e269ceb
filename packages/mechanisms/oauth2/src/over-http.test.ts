import { generateKeyPairSync, type JsonWebKey } from 'node:crypto'
import { anyOf, client, guard, serve, type Principal } from '@portcullis/http'
import { jwkThumbprint } from '@portcullis/crypto'
import { accessTokenJudge, createIssuer, jwt } from '@portcullis/jwt'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  authorizationServer,
  certificateBound,
  clientCredentials,
  clientSecretBasic,
  dpop,
  dpopNonces,
  dpopTokens,
  propagated,
  resourceMetadata,
} from './index.ts'
import { json, testServer, type TestServer } from './servers.test-support.ts'

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
let tls: DevelopmentTls
let sts: TestServer
let issued = 0

beforeAll(async () => {
  tls = await developmentTls({ clientCertificates: 'accept' })
  // Binds tokens to the key of the proof, else to the certificate of the connection; exchanges for the audience asked for.
  sts = await testServer(tls, (form, request, response) => {
    issued++
    const subject = form.get('subject_token')?.split('.')[1]
    const sub = subject === undefined ? 'shop' : (JSON.parse(Buffer.from(subject, 'base64url').toString()) as { sub: string }).sub
    const [header] = String(request.headers['dpop'] ?? '').split('.')
    const proof =
      header === '' || header === undefined ? undefined : (JSON.parse(Buffer.from(header, 'base64url').toString()) as { jwk: JsonWebKey })
    const thumbprint = sts.requests.at(-1)?.thumbprint
    const cnf = proof !== undefined ? { jkt: jwkThumbprint(proof.jwk) } : thumbprint === undefined ? undefined : { 'x5t#S256': thumbprint }
    void issuer()
      .issue({
        subject: sub,
        audience: form.get('audience') ?? 'orders',
        claims: { ...(cnf && { cnf }), ...(subject !== undefined && { act: { sub: 'shop' } }) },
      })
      .then((token) =>
        json(response, 200, {
          access_token: token,
          token_type: proof === undefined ? 'bearer' : 'DPoP',
          expires_in: 300,
          issued_token_type: 'urn:ietf:params:oauth:token-type:access_token',
        }),
      )
  })
})
beforeEach(() => {
  issued = 0
})
afterAll(() => sts.close())

const issuer = () => createIssuer({ issuer: sts.url, key: { privateKey: keys.privateKey } })
const rules = (audience: string) => ({ issuer: sts.url, audience, keys: { publicKey: keys.publicKey } })
const server = () => authorizationServer({ issuer: sts.url, endpoints: { token: `${sts.url}/token` }, tls: tls.client })
const shop = () => clientSecretBasic({ clientId: 'shop', clientSecret: 'shhh' })
const origin = (port: number) => `https://localhost:${port}`

/** The codes of the refusals of {@link service}, and `undefined` for what was allowed. */
let codes: (string | undefined)[] = []

function service(audience: string) {
  const metadata = resourceMetadata({ resource: 'https://localhost', authorizationServers: [sts.url] })
  codes = []
  const policy = guard({
    audit: (event) => void (event.type === 'decision' && codes.push(event.code)),
    authenticate: anyOf(
      dpopTokens({ tokens: accessTokenJudge(rules(audience)), nonces: dpopNonces(), resourceMetadata: metadata.url }),
      jwt(rules(audience)),
    ),
  })
  return serve({ tls, guard: policy, port: 0 }, (_request, principal) =>
    Response.json({ subject: principal.subject, actor: principal.actor?.subject ?? null }),
  )
}

describe('over HTTP', () => {
  it('a token bound to a key passes with its proofs, and one repetition gets the nonce for all further requests', async () => {
    await using orders = await service('orders')
    const url = origin(orders.port)
    using call = await client({
      tls: tls.client,
      credentials: dpop(clientCredentials({ server: server(), client: shop(), targets: [url] })),
    })
    for (let times = 0; times < 3; times++) {
      const response = await call(`${url}/orders?page=${times}`)
      expect(await response.json()).toEqual({ subject: 'shop', actor: null })
    }
    expect(issued).toBe(1)
    await expect.poll(() => codes).toEqual(['ERR_DPOP_NONCE', undefined, undefined, undefined])
  })

  it('says how it wants to be asked', async () => {
    await using orders = await service('orders')
    using call = await client({ tls: tls.client })
    const response = await call(origin(orders.port))
    expect(response.status).toBe(401)
    expect(response.headers.get('www-authenticate')).toContain(
      'DPoP algs="ES256 ES384 ES512 EdDSA Ed25519 PS256 PS384 PS512 RS256", resource_metadata="https://localhost/.well-known/oauth-protected-resource"',
    )
  })

  it('a token bound to a certificate passes over that certificate, and over no other', async () => {
    await using orders = await service('orders')
    const url = origin(orders.port)
    const [own, other] = [await tls.clientFor('shop'), await tls.clientFor('thief')]
    const source = certificateBound(clientCredentials({ server: server(), client: shop(), targets: [url] }), { tls: own })
    using call = await client({ tls: own, credentials: source })
    expect((await call(url)).status).toBe(200)
    using stolen = await client({ tls: other, credentials: source })
    expect((await stolen(url)).status).toBe(401)
  })

  it('a caller’s token is exchanged for the next service, where the caller is known and this service acts', async () => {
    await using stock = await service('stock')
    const url = origin(stock.port)
    using asCaller = propagated({ to: { [url]: { audience: 'stock' } }, exchange: { server: server(), client: shop() } })
    using onward = await client({ tls: tls.client, credentials: asCaller })
    const orders = await serve(
      { tls, guard: guard({ authenticate: jwt(rules('orders')) }), port: 0 },
      async (_request, principal: Principal) => Response.json(await (await onward(url, { onBehalfOf: principal })).json()),
    )
    await using _ = orders
    using outside = await client({ tls: tls.client })
    const answers = await Promise.all(
      Array.from({ length: 20 }, async (_one, at) => {
        const token = await issuer().issue({ subject: `user-${at}`, audience: 'orders' })
        const response = await outside(origin(orders.port), { headers: { authorization: `Bearer ${token}` } })
        return response.json()
      }),
    )
    expect(answers).toEqual(Array.from({ length: 20 }, (_one, at) => ({ subject: `user-${at}`, actor: 'shop' })))
  })
})
