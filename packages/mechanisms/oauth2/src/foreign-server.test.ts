import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { guard, secret, systemClock, type AccessRequest, type Clock, type Principal, type Supplied } from '@portcullis/core'
import { jwt } from '@portcullis/jwt'
import { errors, type Configuration } from 'oidc-provider'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  authorizationCode,
  authorizationServer,
  certificateBound,
  clientCredentials,
  clientSecretBasic,
  clientSecretJwt,
  clientSecretPost,
  deviceAuthorization,
  dpop,
  dpopTokens,
  introspection,
  introspectionJudge,
  none,
  privateKeyJwt,
  revokeToken,
  tlsClientAuth,
  type AuthorizationServer,
  type ClientAuthentication,
} from './index.ts'
import { agreeableBrowser, foreignServer, peerCertificate, type ForeignServer } from './servers.test-support.ts'

const orders = { origin: 'https://orders.example', secure: true }
const secretText = 's'.repeat(32)
const clientKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const serverKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const grants = {
  grant_types: ['client_credentials'],
  redirect_uris: [],
  response_types: [],
  id_token_signed_response_alg: 'ES256' as const,
  introspection_signed_response_alg: 'ES256' as const,
}
const configuration: Configuration = {
  clients: [
    { client_id: 'basic', client_secret: secretText, token_endpoint_auth_method: 'client_secret_basic', ...grants },
    { client_id: 'odd:id%', client_secret: 'p@ss:%&+', token_endpoint_auth_method: 'client_secret_basic', ...grants },
    { client_id: 'bound', client_secret: secretText, tls_client_certificate_bound_access_tokens: true, ...grants },
    { client_id: 'post', client_secret: secretText, token_endpoint_auth_method: 'client_secret_post', ...grants },
    { client_id: 'hmac', client_secret: secretText, token_endpoint_auth_method: 'client_secret_jwt', ...grants },
    {
      client_id: 'signed',
      token_endpoint_auth_method: 'private_key_jwt',
      jwks: { keys: [{ ...(clientKey.publicKey.export({ format: 'jwk' }) as { kty: 'EC' }), alg: 'ES256', use: 'sig', kid: 'c' }] },
      ...grants,
    },
    {
      client_id: 'cli',
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      id_token_signed_response_alg: 'ES256',
      introspection_signed_response_alg: 'ES256',
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      redirect_uris: ['http://127.0.0.1/callback'],
    },
    { client_id: 'mutual', token_endpoint_auth_method: 'tls_client_auth', tls_client_auth_san_dns: 'mutual.localhost', ...grants },
  ],
  findAccount: (_context, accountId) => ({ accountId, claims: () => ({ sub: accountId }) }),
  issueRefreshToken: (_context, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  jwks: { keys: [{ ...(serverKey.privateKey.export({ format: 'jwk' }) as { kty: 'EC' }), alg: 'ES256', use: 'sig', kid: 'k1' }] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'client_secret_jwt', 'private_key_jwt', 'tls_client_auth', 'none'],
  scopes: ['orders:read'],
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true, nonceSecret: randomBytes(32), requireNonce: () => true },
    deviceFlow: { enabled: true },
    introspection: { enabled: true },
    jwtIntrospection: { enabled: true },
    revocation: { enabled: true },
    mTLS: {
      enabled: true,
      tlsClientAuth: true,
      certificateBoundAccessTokens: true,
      getCertificate: (context) => peerCertificate(context),
      certificateAuthorized: () => true,
      certificateSubjectMatches: (context, property, expected) =>
        property === 'tls_client_auth_san_dns' && peerCertificate(context)?.subjectAltName?.includes(`DNS:${expected}`) === true,
    },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, resource) => {
        if (!resource.startsWith('https://')) throw new errors.InvalidTarget()
        return {
          scope: 'orders:read',
          audience: resource,
          accessTokenFormat: resource.includes('jwt') ? 'jwt' : 'opaque',
          accessTokenTTL: 120,
          jwt: { sign: { alg: 'ES256' as const } },
        }
      },
    },
  },
}

let foreign: ForeignServer
let server: AuthorizationServer
beforeAll(async () => {
  foreign = await foreignServer(configuration)
  server = authorizationServer({ issuer: foreign.issuer, tls: foreign.tls.client })
})
afterAll(() => foreign[Symbol.asyncDispose]())

function tokenOf({ credential }: Supplied): string {
  if (credential.kind !== 'bearer') throw new Error(credential.kind)
  return credential.token.reveal()
}

function request(token: string): AccessRequest {
  return {
    credentials: [{ kind: 'bearer', carrier: 'authorization', token: secret(token) }],
    action: 'GET',
    resource: '/',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true },
  }
}

describe('against a bare oidc-provider', () => {
  it.each<[string, () => ClientAuthentication | Promise<ClientAuthentication>]>([
    ['client_secret_basic', () => clientSecretBasic({ clientId: 'basic', clientSecret: secretText })],
    ['client_secret_basic with characters that need encoding', () => clientSecretBasic({ clientId: 'odd:id%', clientSecret: 'p@ss:%&+' })],
    ['client_secret_post', () => clientSecretPost({ clientId: 'post', clientSecret: secretText })],
    ['client_secret_jwt', () => clientSecretJwt({ clientId: 'hmac', clientSecret: secretText })],
    ['private_key_jwt', () => privateKeyJwt({ clientId: 'signed', key: { privateKey: clientKey.privateKey, keyId: 'c' } })],
    ['tls_client_auth', () => tlsClientAuth({ clientId: 'mutual' })],
  ])('a client gets a token by %s', async (_what, client) => {
    const as = server.withTls(await foreign.tls.clientFor('mutual'))
    const source = clientCredentials({ server: as, client: await client(), targets: ['https://orders.example'], scopes: ['orders:read'] })
    const supplied = await source({ target: orders })
    expect(tokenOf(supplied).length).toBeGreaterThan(20)
    expect(supplied.expiresAt?.getTime()).toBeGreaterThan(Date.now())
  })

  it.each<[string, () => ClientAuthentication, string]>([
    ['a wrong secret', () => clientSecretBasic({ clientId: 'basic', clientSecret: 'wrong' }), 'invalid_client'],
    ['a wrong key', () => privateKeyJwt({ clientId: 'signed', key: { privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey } }), 'invalid_client'],
    ['no certificate', () => tlsClientAuth({ clientId: 'mutual' }), 'invalid_client'],
  ])('a client with %s gets none', async (_what, client, error) => {
    const source = clientCredentials({ server, client: client(), targets: ['https://orders.example'] })
    await expect(source({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_REFUSED', error })
  }) // prettier-ignore

  it('a token is for its target: opaque ones by introspection, signed ones by their signature', async () => {
    const source = clientCredentials({
      server,
      client: clientSecretBasic({ clientId: 'basic', clientSecret: secretText }),
      scopes: ['orders:read'],
      targets: {
        'https://orders.example': { resource: 'https://orders.example/' },
        'https://stock.example': { resource: 'https://stock.example/jwt' },
      },
    })
    const toOrders = tokenOf(await source({ target: orders }))
    const toStock = tokenOf(await source({ target: { origin: 'https://stock.example', secure: true } }))
    const demands = { server, client: clientSecretBasic({ clientId: 'basic', clientSecret: secretText }), subjectClaim: 'client_id' }
    const opaque = guard({ authenticate: introspection({ ...demands, audience: 'https://orders.example/' }) })
    const decision = await opaque.decide(request(toOrders))
    expect(decision).toMatchObject({ outcome: 'allow', principal: { issuer: foreign.issuer, subject: 'basic' } })
    expect(decision.outcome === 'allow' && [...(decision.principal as Principal).scopes]).toEqual(['orders:read'])
    const elsewhere = guard({ authenticate: introspection({ ...demands, audience: 'https://stock.example/jwt' }) })
    expect(await elsewhere.decide(request(toOrders))).toMatchObject({ code: 'ERR_JWT_AUDIENCE_UNEXPECTED' })
    expect(await opaque.decide(request('junk'))).toMatchObject({ code: 'ERR_INTROSPECTION_INACTIVE' })

    const fetchKeys = {
      jwksUri: `${foreign.issuer}/jwks`,
      fetch: (url: string, init: Parameters<typeof server.transport>[1]) => server.transport(url, init),
    }
    const signed = guard({ authenticate: jwt({ issuer: foreign.issuer, audience: 'https://stock.example/jwt', keys: fetchKeys }) })
    expect(await signed.decide(request(toStock))).toMatchObject({ outcome: 'allow' })
  })

  it('a token that was revoked is noticed when its answer is too old', async () => {
    const client = clientSecretBasic({ clientId: 'basic', clientSecret: secretText })
    const source = clientCredentials({ server, client, targets: { 'https://orders.example': { resource: 'https://orders.example/' } } })
    const { credential } = await source({ target: orders })
    if (credential.kind !== 'bearer') throw new Error(credential.kind)
    const secured = guard({
      authenticate: introspection({ server, client, audience: 'https://orders.example/', subjectClaim: 'client_id', cache: 'none' }),
    })
    expect(await secured.decide(request(credential.token.reveal()))).toMatchObject({ outcome: 'allow' })
    await revokeToken({ server, client, token: credential.token })
    expect(await secured.decide(request(credential.token.reveal()))).toMatchObject({ code: 'ERR_INTROSPECTION_INACTIVE' })
  })

  it('a signed answer is taken', async () => {
    const client = clientSecretBasic({ clientId: 'basic', clientSecret: secretText })
    const source = clientCredentials({ server, client, targets: { 'https://orders.example': { resource: 'https://orders.example/' } } })
    const secured = guard({
      authenticate: introspection({
        server,
        client,
        audience: 'https://orders.example/',
        subjectClaim: 'client_id',
        signedAnswers: {},
      }),
    })
    expect(await secured.decide(request(tokenOf(await source({ target: orders }))))).toMatchObject({ outcome: 'allow' })
    expect(await secured.decide(request('junk'))).toMatchObject({ code: 'ERR_INTROSPECTION_INACTIVE' })
  })

  it('a token is bound to a key, with a nonce of the server in the proof', async () => {
    const client = clientSecretBasic({ clientId: 'basic', clientSecret: secretText })
    const source = dpop(
      clientCredentials({ server, client, targets: { 'https://orders.example': { resource: 'https://orders.example/' } } }),
    )
    const binding = { method: 'GET', uri: 'https://orders.example/orders' }
    const tokens = introspectionJudge({ server, client, audience: 'https://orders.example/', subjectClaim: 'client_id' })
    const secured = guard({ authenticate: dpopTokens({ tokens }) })
    const { credential } = await source({ target: orders, binding })
    expect(await secured.decide({ ...request(''), credentials: [credential], binding })).toMatchObject({ outcome: 'allow' })
    if (credential.kind !== 'dpop') throw new Error(credential.kind)
    const plain = guard({ authenticate: introspection({ server, client, audience: 'https://orders.example/', subjectClaim: 'client_id' }) })
    expect(await plain.decide(request(credential.token.reveal()))).toMatchObject({ code: 'ERR_INTROSPECTION_PROOF_MISSING' })
  })

  it('a token is bound to a certificate', async () => {
    const client = clientSecretBasic({ clientId: 'bound', clientSecret: secretText })
    const tls = await foreign.tls.clientFor('shop')
    const plain = clientCredentials({ server, client, targets: { 'https://orders.example': { resource: 'https://orders.example/' } } })
    const supplied = await certificateBound(plain, { tls })({ target: orders })
    const secured = guard({
      authenticate: introspection({ server, client, audience: 'https://orders.example/', subjectClaim: 'client_id' }),
    })
    expect(await secured.decide(request(tokenOf(supplied)))).toMatchObject({ code: 'ERR_CONFIRMATION_UNMET' })
  })

  const resource = { 'https://orders.example': { resource: 'https://orders.example/', scopes: 'openid orders:read' as const } }
  const cli = none({ clientId: 'cli' })
  /** The subject of a token, as introspection has it. */
  const subjectOf = async (supplied: Supplied) => {
    const client = clientSecretBasic({ clientId: 'basic', clientSecret: secretText })
    const secured = guard({ authenticate: introspection({ server, client, audience: 'https://orders.example/' }) })
    const decision = await secured.decide(request(tokenOf(supplied)))
    return decision.outcome === 'allow' ? (decision.principal as Principal).subject : decision.code
  }

  it('a user logs in with the browser, and the refresh token rotates from then on', async () => {
    const browser = agreeableBrowser(foreign.tls)
    let opened = 0
    const source = authorizationCode({
      server,
      client: cli,
      targets: resource,
      openBrowser: (url) => {
        opened++
        return browser(url)
      },
    })
    const first = await source({ target: orders })
    expect(await subjectOf(first)).toBe('alice')
    const second = await source({ target: orders, refused: first.credential })
    expect(await subjectOf(second)).toBe('alice')
    expect(tokenOf(second)).not.toBe(tokenOf(first))
    expect(opened).toBe(1)
  })

  it('a user logs in on another device', async () => {
    const browser = agreeableBrowser(foreign.tls)
    // The server asks for five seconds between the questions, and the user is quicker than that.
    const hasty: Clock = { now: () => Date.now(), schedule: (delayMs, task) => systemClock.schedule(delayMs / 50, task) }
    const source = deviceAuthorization({
      server: authorizationServer({ issuer: foreign.issuer, tls: foreign.tls.client, clock: hasty }),
      client: cli,
      targets: resource,
      onUserCode: ({ verificationUriComplete }) => browser(verificationUriComplete ?? ''),
    })
    expect(await subjectOf(await source({ target: orders }))).toBe('alice')
  })
})
