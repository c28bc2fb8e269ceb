import {
  allOf,
  anonymous,
  formatChallenges,
  guard,
  secret,
  vouchForPrincipal,
  type AccessRequest,
  type Authorization,
} from '@portcullis/core'
import { authenticator } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { developmentTls } from '@portcullis/tls/development'
import { describe, expect, it } from 'vitest'
import {
  acr,
  authorizationServer,
  certificateBound,
  clientCredentials,
  clientSecretBasic,
  introspection,
  maxAge,
  resourceMetadata,
} from './index.ts'
import { json, testServer } from './servers.test-support.ts'

const clock = manualClock()

describe('step-up (RFC 9470)', () => {
  const alice = (claims: Record<string, unknown>, authenticatedAt?: Date) =>
    vouchForPrincipal({ issuer: 'i', subject: 'alice', claims, ...(authenticatedAt && { authenticatedAt }) })
  const action = { action: 'GET', resource: '/', attributes: {} }

  it.each<[unknown, Authorization['outcome']]>([
    ['mfa', 'granted'],
    ['phr', 'granted'],
    ['pwd', 'stepUp'],
    ['', 'stepUp'],
    [['mfa'], 'stepUp'],
    [undefined, 'stepUp'],
  ])('takes acr %j as %s', async (value, expected) => {
    const said = await acr('mfa', 'phr')(alice({ acr: value }), action)
    expect(said.outcome).toBe(expected)
  })

  it.each<[number | undefined, Authorization['outcome']]>([
    [0, 'granted'],
    [60_000, 'granted'],
    [60_001, 'stepUp'],
    [undefined, 'stepUp'],
  ])('takes an authentication %s ms ago as %s', async (agoMs, expected) => {
    const said = await maxAge(60, { clock })(alice({}, agoMs === undefined ? undefined : new Date(clock.now() - agoMs)), action)
    expect(said.outcome).toBe(expected)
  })

  it('says on the wire what would do', async () => {
    const who = authenticator('test', () => alice({ acr: 'pwd' }), [{ scheme: 'Bearer' }])
    const decision = await guard({ authenticate: who, authorize: allOf(acr('mfa', 'phr'), maxAge(60)), clock }).decide({
      credentials: [],
      ...action,
      channel: { from: 'peer', protocol: 'https', secure: true },
    })
    if (decision.outcome === 'allow') throw new Error('allowed')
    expect(decision.reason).toBe('stepUp')
    expect(formatChallenges(decision.offers, decision.reason, decision.advice)).toEqual([
      'Bearer error="insufficient_user_authentication", acr_values="mfa phr"',
    ])
  })

  it('asks nobody who has shown nothing for more', async () => {
    expect((await acr('mfa')(anonymous, action)).outcome).toBe('stepUp')
    expect(() => Reflect.apply(acr, undefined, [])).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => maxAge(0)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })
})

describe('resource metadata (RFC 9728)', () => {
  it('stand at the well-known place of the resource', () => {
    const made = resourceMetadata({
      resource: 'https://orders.example/api/v1',
      authorizationServers: ['https://sts.example'],
      scopes: ['orders:read'],
      dpopOnly: true,
      dpopAlgorithms: ['ES256'],
      certificateBoundOnly: true,
    })
    expect(made.path).toBe('/.well-known/oauth-protected-resource/api/v1')
    expect(made.url).toBe('https://orders.example/.well-known/oauth-protected-resource/api/v1')
    expect(made.document).toEqual({
      resource: 'https://orders.example/api/v1',
      authorization_servers: ['https://sts.example'],
      bearer_methods_supported: ['header'],
      scopes_supported: ['orders:read'],
      dpop_bound_access_tokens_required: true,
      dpop_signing_alg_values_supported: ['ES256'],
      tls_client_certificate_bound_access_tokens: true,
    })
    expect(resourceMetadata({ resource: 'https://orders.example', authorizationServers: ['https://sts.example'] }).path).toBe(
      '/.well-known/oauth-protected-resource',
    )
  })

  it('are told in the challenge', () => {
    const server = authorizationServer({ issuer: 'https://sts.example' })
    const { offers } = introspection({
      server,
      client: clientSecretBasic({ clientId: 'a', clientSecret: 'b' }),
      audience: 'orders',
      realm: 'orders',
      resourceMetadata: 'https://orders.example/.well-known/oauth-protected-resource',
    })
    expect(formatChallenges(offers, 'missing')).toEqual([
      'Bearer realm="orders", resource_metadata="https://orders.example/.well-known/oauth-protected-resource"',
    ])
  })

  it.each([
    [{ resource: 'http://orders.example', authorizationServers: ['https://sts.example'] }],
    [{ resource: 'https://orders.example', authorizationServers: [] }],
    [{ resource: 'https://orders.example', authorizationServers: ['sts.example'] }],
  ])('cannot be made of %j', (options) => {
    expect(() => resourceMetadata(options as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })
})

describe('a source whose tokens are bound to a certificate (RFC 8705)', () => {
  const target = { origin: 'https://orders.example', secure: true }

  it('asks with that certificate, and anew when it changes', async () => {
    const tls = await developmentTls({ clientCertificates: 'accept' })
    let issued = 0
    await using server = await testServer(tls, (_form, incoming, response) => {
      if (incoming.url?.startsWith('/.well-known/') === true)
        json(response, 200, {
          issuer: server.url,
          token_endpoint: `${server.url}/plain`,
          mtls_endpoint_aliases: { token_endpoint: `${server.url}/mutual` },
        })
      else json(response, 200, { access_token: `token-${++issued}`, token_type: 'bearer', expires_in: 300 })
    })
    const plain = clientCredentials({
      server: authorizationServer({ issuer: server.url, tls: tls.client, clock }),
      client: clientSecretBasic({ clientId: 'shop', clientSecret: 'shhh' }),
      targets: ['https://orders.example'],
    })
    const bundle = await tls.clientFor('shop')
    const source = certificateBound(plain, { tls: bundle })
    const supplied = await source({ target })
    expect(supplied.credential).toMatchObject({ kind: 'bearer' })
    const asked = server.requests.at(-1)
    expect(asked?.path).toBe('/mutual')
    expect(asked?.thumbprint).toMatch(/^[\w-]{43}$/)
    await source({ target })
    expect(issued).toBe(1)
    await bundle.reload()
    await source({ target })
    expect(issued).toBe(2)
  })

  it('needs a bundle with a key pair', async () => {
    const tls = await developmentTls()
    const source = clientCredentials({
      server: authorizationServer({ issuer: 'https://sts.example' }),
      client: clientSecretBasic({ clientId: 'shop', clientSecret: 'shhh' }),
      targets: ['https://orders.example'],
    })
    for (const bundle of [tls.client, tls.server, undefined])
      expect(() => certificateBound(source, { tls: bundle as never })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })

  it('gives tokens that pass the guard over that very certificate only', async () => {
    const tls = await developmentTls()
    await using server = await testServer(tls, (_form, _request, response) =>
      json(response, 200, { active: true, iss: server.url, aud: 'orders', sub: 'shop', cnf: { 'x5t#S256': 'a'.repeat(43) } }),
    )
    const secured = guard({
      authenticate: introspection({
        server: authorizationServer({ issuer: server.url, endpoints: { introspection: `${server.url}/i` }, tls: tls.client, clock }),
        client: clientSecretBasic({ clientId: 'orders', clientSecret: 'shhh' }),
        audience: 'orders',
      }),
      clock,
    })
    const over = async (thumbprint?: string) => {
      const certificate = thumbprint === undefined ? undefined : { der: new Uint8Array(), thumbprint, anchor: 'x', notAfter: new Date() }
      const request: AccessRequest = {
        credentials: [{ kind: 'bearer', carrier: 'authorization', token: secret('t') }],
        action: 'GET',
        resource: '/',
        attributes: {},
        channel: { from: 'peer', protocol: 'https', secure: true, ...(certificate && { certificate }) },
      }
      const decision = await secured.decide(request)
      return decision.code ?? decision.outcome
    }
    expect(await over('a'.repeat(43))).toBe('allow')
    expect(await over('b'.repeat(43))).toBe('ERR_CONFIRMATION_UNMET')
    expect(await over()).toBe('ERR_CONFIRMATION_UNMET')
  })
})
