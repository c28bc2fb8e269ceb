import { allOf, guard, scope, secret, type AccessRequest, type Credential, type Decision, type Principal } from '@portcullis/core'
import { manualClock, type ManualClock } from '@portcullis/core/testing'
import { createSigner } from '@portcullis/jwt'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { generateKeyPairSync } from 'node:crypto'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { anyAudience, withoutIssuerClaim } from './danger.ts'
import {
  authorizationServer,
  clientCredentials,
  clientSecretBasic,
  introspection,
  type AuthorizationServerOptions,
  type IntrospectionOptions,
} from './index.ts'
import { json, testServer, type TestServer } from './servers.test-support.ts'

let tls: DevelopmentTls
let server: TestServer
let clock: ManualClock
/** What the server says of each token. */
let known: Map<string, Record<string, unknown>>

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(async () => {
  clock = manualClock()
  known = new Map([['good', sound()]])
  server = await testServer(tls, (form, _request, response) => json(response, 200, known.get(form.get('token') ?? '') ?? { active: false }))
  known.set('good', sound())
})
afterEach(() => server.close())

function sound(content: Record<string, unknown> = {}): Record<string, unknown> {
  const now = clock.now() / 1000
  return {
    active: true,
    iss: server?.url,
    aud: 'orders',
    sub: 'alice',
    scope: 'orders:read orders:write',
    exp: now + 3_600,
    iat: now,
    ...content,
  }
}

function sts(options: Partial<AuthorizationServerOptions> = {}) {
  return authorizationServer({
    issuer: server.url,
    endpoints: { introspection: `${server.url}/introspect` },
    tls: tls.client,
    clock,
    ...options,
  })
}

function mechanism(options: Partial<IntrospectionOptions> = {}) {
  return introspection({
    server: sts(),
    client: clientSecretBasic({ clientId: 'orders', clientSecret: 'shhh' }),
    audience: 'orders',
    ...options,
  })
}

function orders(options: Partial<IntrospectionOptions> = {}) {
  return guard({ authenticate: mechanism(options), authorize: scope('orders:read'), clock })
}

function request(token: string, more: Partial<AccessRequest> = {}): AccessRequest {
  const credentials: readonly Credential[] = [{ kind: 'bearer', carrier: 'authorization', token: secret(token) }]
  return {
    credentials,
    action: 'GET',
    resource: '/orders',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true },
    ...more,
  }
}

async function outcome(decision: Decision | Promise<Decision>): Promise<string> {
  const made = await decision
  return made.outcome === 'allow' ? 'allow' : `${made.reason} ${made.code}`
}

describe('introspection', () => {
  it('proves the subject, with scopes, expiry, actor, authentication and every field of the answer', async () => {
    const now = clock.now() / 1000
    known.set('good', sound({ act: { sub: 'shop' }, auth_time: now - 60, tenant: { id: 7 }, aud: ['stock', 'orders'], client_id: 'web' }))
    const decision = await orders({ tokenTypeHint: 'access_token', parameters: { realm: 'a b' } }).decide(request('good'))
    if (decision.outcome !== 'allow') throw new Error(decision.code)
    const principal = decision.principal as Principal
    expect(principal).toMatchObject({ issuer: server.url, subject: 'alice', claims: { tenant: { id: 7 }, client_id: 'web' } })
    expect([...principal.scopes]).toEqual(['orders:read', 'orders:write'])
    expect(principal.expiresAtMs).toBe((now + 3_600) * 1000)
    expect(principal.actor).toMatchObject({ subject: 'shop' })
    expect(principal.authenticatedAt).toEqual(new Date(clock.now() - 60_000))
    const [asked] = server.requests
    expect(Object.fromEntries(asked?.form ?? [])).toEqual({ token: 'good', token_type_hint: 'access_token', realm: 'a b' })
    expect(asked?.headers.authorization).toBe(`Basic ${Buffer.from('orders:shhh').toString('base64')}`)
    expect(asked?.headers.accept).toBe('application/json')
  })

  it.each<[string, () => Record<string, unknown>, string]>([
    ['is inactive', () => ({ active: false }), 'invalid ERR_INTROSPECTION_INACTIVE'],
    ['is inactive and says everything else', () => sound({ active: false }), 'invalid ERR_INTROSPECTION_INACTIVE'],
    ['names another issuer', () => sound({ iss: 'https://evil.example' }), 'invalid ERR_JWT_ISSUER_UNKNOWN'],
    ['names no issuer', () => sound({ iss: undefined }), 'invalid ERR_JWT_CLAIM_MISSING'],
    ['names another audience', () => sound({ aud: ['stock'] }), 'invalid ERR_JWT_AUDIENCE_UNEXPECTED'],
    ['names no audience', () => sound({ aud: undefined }), 'invalid ERR_JWT_CLAIM_MISSING'],
    ['has expired', () => sound({ exp: clock.now() / 1000 }), 'invalid ERR_JWT_EXPIRED'],
    ['expires at a text', () => sound({ exp: '99999999999' }), 'invalid ERR_JWT_CLAIM_INVALID'],
    ['is not valid yet', () => sound({ nbf: clock.now() / 1000 + 1 }), 'invalid ERR_JWT_NOT_YET_VALID'],
    ['has no subject', () => sound({ sub: undefined }), 'invalid ERR_JWT_CLAIM_MISSING'],
    ['has an empty subject', () => sound({ sub: '' }), 'invalid ERR_JWT_CLAIM_INVALID'],
    ['has scopes of a wrong type', () => sound({ scope: 7 }), 'invalid ERR_JWT_CLAIM_INVALID'],
    ['lacks the scope', () => sound({ scope: 'orders:write' }), 'insufficientScope ERR_SCOPE_INSUFFICIENT'],
    ['is bound to a key', () => sound({ cnf: { jkt: 'a'.repeat(43) } }), 'invalid ERR_INTROSPECTION_PROOF_MISSING'],
    ['is bound to a certificate', () => sound({ cnf: { 'x5t#S256': 'a'.repeat(43) } }), 'invalid ERR_CONFIRMATION_UNMET'],
    ['is bound in an unknown way', () => sound({ cnf: { kid: 'a' } }), 'invalid ERR_JWT_CONFIRMATION_UNSUPPORTED'],
    ['is active by a text', () => sound({ active: 'true' }), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['is active by a number', () => sound({ active: 1 }), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['has a __proto__', () => JSON.parse('{"__proto__":{"active":true}}') as Record<string, unknown>, 'outage ERR_OAUTH_ANSWER_INVALID'],
  ])('an answer that %s is no allow', async (_what, answer, expected) => {
    known.set('good', answer())
    const secured = orders()
    expect(await outcome(secured.decide(request('good')))).toBe(expected)
    // And not with the next request either, whatever is remembered.
    expect(await outcome(secured.decide(request('good')))).toBe(expected)
  })

  it('leaves requests without a bearer token to others, and asks nobody', async () => {
    expect(await outcome(orders().decide({ ...request('good'), credentials: [] }))).toBe('missing ERR_CREDENTIAL_MISSING')
    const basic: Credential = { kind: 'basic', carrier: 'authorization', username: 'a', password: secret('b') }
    expect(await outcome(orders().decide({ ...request('good'), credentials: [basic] }))).toBe('missing ERR_CREDENTIAL_MISSING')
    expect(server.requests).toHaveLength(0)
  })

  it('takes the certificate that the token is bound to, over the channel that has it', async () => {
    known.set('good', sound({ cnf: { 'x5t#S256': 'a'.repeat(43) } }))
    const certificate = { der: new Uint8Array(), thumbprint: 'a'.repeat(43), anchor: 'x', notAfter: new Date() }
    const secured = orders()
    expect(
      await outcome(secured.decide(request('good', { channel: { from: 'peer', protocol: 'https', secure: true, certificate } }))),
    ).toBe('allow')
    expect(await outcome(secured.decide(request('good', { channel: { from: 'relay', protocol: 'kafka', secure: true } })))).toBe(
      'invalid ERR_CONFIRMATION_UNMET',
    )
  })

  it('reads other fields where they are said to be, and checks what is demanded of them', async () => {
    known.set('good', sound({ sub: undefined, client_id: 'batch', scope: undefined, roles: ['orders:read'], tenant: 'a' }))
    const options = { subjectClaim: 'client_id', scopeClaim: 'roles', claims: { tenant: 'a' } }
    expect(await outcome(orders(options).decide(request('good')))).toBe('allow')
    expect(await outcome(orders({ ...options, claims: { tenant: 'b' } }).decide(request('good')))).toBe('invalid ERR_JWT_CLAIM_UNEXPECTED')
  })

  it('takes answers without issuer or audience only where that is said by a symbol', async () => {
    known.set('good', sound({ iss: undefined, aud: undefined }))
    expect(await outcome(orders({ issuerClaim: withoutIssuerClaim, audience: anyAudience }).decide(request('good')))).toBe('allow')
    known.set('other', sound({ iss: 'https://evil.example', aud: undefined }))
    expect(await outcome(orders({ issuerClaim: withoutIssuerClaim, audience: anyAudience }).decide(request('other')))).toBe(
      'invalid ERR_JWT_ISSUER_UNKNOWN',
    )
  })

  it('ends a token without exp after the default lifetime', async () => {
    known.set('good', sound({ exp: undefined }))
    const decision = await orders({ defaultLifetimeSeconds: 600 }).decide(request('good'))
    expect(decision.outcome === 'allow' && (decision.principal as Principal).expiresAtMs).toBe(clock.now() + 600_000)
  })

  it('proves itself by a token of its own, and gets another where that one is refused', async () => {
    let issued = 0
    server.answer = (form, incoming, response) => {
      if (incoming.url === '/token') json(response, 200, { access_token: `own-${++issued}`, token_type: 'bearer' })
      else if (incoming.headers.authorization === 'Bearer own-2') json(response, 200, known.get(form.get('token') ?? ''))
      else json(response, 401, { error: 'invalid_token' }, { 'www-authenticate': 'Bearer error="invalid_token"' })
    }
    const own = clientCredentials({
      server: sts({ endpoints: { token: `${server.url}/token` } }),
      client: clientSecretBasic({ clientId: 'orders', clientSecret: 'shhh' }),
      targets: [server.url],
    })
    const secured = guard({ authenticate: introspection({ server: sts(), credentials: own, audience: 'orders' }), clock })
    expect(await outcome(secured.decide(request('good')))).toBe('allow')
    expect(server.requests.map(({ path }) => path)).toEqual(['/token', '/introspect', '/token', '/introspect'])
  })

  it.each<[string, TestServer['answer'], string]>([
    ['refuses this service', (_f, _r, response) => json(response, 401, { error: 'invalid_client' }), 'outage ERR_OAUTH_REFUSED'],
    ['fails', (_f, _r, response) => void response.writeHead(500).end(), 'outage ERR_OAUTH_SERVER_FAILED'],
    ['sends HTML', (_f, _r, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('active'), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['sends a list', (_f, _r, response) => json(response, 200, [{ active: true }]), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['sends null', (_f, _r, response) => json(response, 200, null), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['sends too much', (_f, _r, response) => json(response, 200, sound({ x: 'a'.repeat(1_100_000) })), 'outage ERR_OAUTH_ANSWER_TOO_LARGE'],
    ['redirects', (_f, _r, response) => void response.writeHead(302, { location: '/yes' }).end(), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['sends an active answer with a status of failure', (_f, _r, response) => json(response, 503, sound()), 'outage ERR_OAUTH_SERVER_FAILED'],
    ['hangs', () => undefined, 'outage ERR_OAUTH_TIMEOUT'],
  ])('a server that %s makes the request unavailable', async (_what, answer, expected) => {
    server.answer = answer
    expect(await outcome(orders({ server: sts({ timeoutMs: 200 }) }).decide(request('good')))).toBe(expected)
  }) // prettier-ignore
})

describe('the cache of introspection', () => {
  it('asks once for a burst, and again when the answer is a minute old', async () => {
    const secured = orders()
    const burst = await Promise.all(Array.from({ length: 50 }, () => outcome(secured.decide(request('good')))))
    expect(new Set(burst)).toEqual(new Set(['allow']))
    expect(server.requests).toHaveLength(1)
    clock.advance(59_999)
    expect(await outcome(secured.decide(request('good')))).toBe('allow')
    expect(server.requests).toHaveLength(1)
    clock.advance(1)
    expect(await outcome(secured.decide(request('good')))).toBe('allow')
    expect(server.requests).toHaveLength(2)
  })

  it('answers a known credential in the same tick', async () => {
    const secured = orders()
    const repeated = request('good')
    await secured.decide(repeated)
    await secured.decide(repeated)
    expect(secured.decide(repeated)).toMatchObject({ outcome: 'allow' })
  })

  it('never keeps an answer beyond exp', async () => {
    known.set('good', sound({ exp: clock.now() / 1000 + 10 }))
    const secured = orders()
    const repeated = request('good')
    expect(await outcome(secured.decide(repeated))).toBe('allow')
    clock.advance(10_000)
    expect(await outcome(secured.decide(repeated))).toBe('invalid ERR_JWT_EXPIRED')
  })

  it('keeps a refusal for a second only', async () => {
    known.delete('good')
    const secured = orders()
    expect(await outcome(secured.decide(request('good')))).toBe('invalid ERR_INTROSPECTION_INACTIVE')
    known.set('good', sound())
    expect(await outcome(secured.decide(request('good')))).toBe('invalid ERR_INTROSPECTION_INACTIVE')
    expect(server.requests).toHaveLength(1)
    clock.advance(1_000)
    expect(await outcome(secured.decide(request('good')))).toBe('allow')
  })

  it('tells the tokens, and the parameters of the calls, apart', async () => {
    known.set('evil', { active: false })
    const secured = orders({ parameters: ({ attributes }) => ({ tenant: String(attributes['tenant']) }) })
    expect(await outcome(secured.decide(request('good', { attributes: { tenant: 'a' } })))).toBe('allow')
    expect(await outcome(secured.decide(request('evil', { attributes: { tenant: 'a' } })))).toBe('invalid ERR_INTROSPECTION_INACTIVE')
    known.set('good', { active: false })
    expect(await outcome(secured.decide(request('good', { attributes: { tenant: 'b' } })))).toBe('invalid ERR_INTROSPECTION_INACTIVE')
    expect(await outcome(secured.decide(request('good', { attributes: { tenant: 'a' } })))).toBe('allow')
    expect(server.requests.map(({ form }) => `${form.get('token')} ${form.get('tenant')}`)).toEqual(['good a', 'evil a', 'good b'])
  })

  it('asks for each request where it is switched off', async () => {
    const secured = orders({ cache: 'none' })
    await secured.decide(request('good'))
    known.delete('good')
    expect(await outcome(secured.decide(request('good')))).toBe('invalid ERR_INTROSPECTION_INACTIVE')
    known.set('good', sound())
    expect(await outcome(secured.decide(request('good')))).toBe('allow')
    expect(server.requests).toHaveLength(3)
  })

  it('ends what rests on a token that is found inactive later', async () => {
    const secured = orders()
    const decision = await secured.decide(request('good'))
    if (decision.outcome !== 'allow') throw new Error(decision.code)
    known.delete('good')
    clock.advance(60_000)
    expect(decision.principal).toMatchObject({ revoked: false })
    expect(await outcome(secured.decide(request('good')))).toBe('invalid ERR_INTROSPECTION_INACTIVE')
    expect(decision.principal).toMatchObject({ revoked: true })
  })

  it('through ten minutes without a sound server neither accepts what it would refuse nor refuses what is within its age', async () => {
    const { url } = server
    known.set('long', sound())
    const secured = orders({ cache: { maxAgeMs: 900_000 }, server: sts({ timeoutMs: 100 }) })
    expect(await outcome(secured.decide(request('long')))).toBe('allow')
    expect(await outcome(secured.decide(request('junk')))).toBe('invalid ERR_INTROSPECTION_INACTIVE')
    const faults: (TestServer['answer'] | 'down')[] = [
      'down',
      (_f, _r, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"active":tru'),
      (_f, _r, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('\u0000\u0001\u0002'),
      (_f, _r, response) => json(response, 200, {}),
      (_f, _r, response) => json(response, 200, { active: true }),
      (_f, _r, response) => json(response, 502, { active: true }),
      () => undefined,
      (_f, _r, response) => void response.destroy(),
    ]
    for (let minute = 0; minute < 10; minute++) {
      const fault = faults[minute % faults.length] ?? 'down'
      if (fault === 'down') await server.close()
      else {
        await server.close()
        server = await testServer(tls, fault, Number(new URL(url).port))
      }
      clock.advance(60_000)
      expect(await outcome(secured.decide(request('long')))).toBe('allow')
      expect(await outcome(secured.decide(request('junk')))).not.toBe('allow')
      expect(await outcome(secured.decide(request(`new ${minute}`)))).not.toBe('allow')
    }
    clock.advance(300_000)
    expect(await outcome(secured.decide(request('long')))).not.toBe('allow')
    await server.close()
    server = await testServer(tls, (_form, _request, response) => json(response, 200, sound()), Number(new URL(url).port))
    clock.advance(1_000)
    expect(await outcome(secured.decide(request('long')))).toBe('allow')
  })

  it('tries a server where nobody listens once a second', async () => {
    const { url } = server
    await server.close()
    const secured = orders()
    expect(await outcome(secured.decide(request('a')))).toBe('outage ERR_OAUTH_UNREACHABLE')
    server = await testServer(tls, (_form, _request, response) => json(response, 200, sound()), Number(new URL(url).port))
    expect(await secured.decide(request('b'))).toMatchObject({ reason: 'outage', retryAfterMs: 1_000 })
    expect(server.requests).toHaveLength(0)
    clock.advance(1_000)
    expect(await outcome(secured.decide(request('b')))).toBe('allow')
  })

  it('takes a bounded number of questions at a time', async () => {
    server.answer = () => undefined
    const secured = orders()
    const leave = new AbortController()
    const waiting = Array.from({ length: 1_024 }, (_, at) => secured.decide(request(`t${at}`), leave.signal))
    expect(await outcome(secured.decide(request('one more')))).toBe('overload ERR_INTROSPECTION_OVERLOADED')
    leave.abort()
    await Promise.all(waiting)
  })
})

describe('signed answers (RFC 9701)', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signer = createSigner({ key: { privateKey, keyId: 'k' }, typ: 'token-introspection+jwt' })
  const signed = (claims: Record<string, unknown>, by = signer) =>
    ((_form, incoming, response) => {
      if (incoming.url === '/jwks') json(response, 200, signer.jwks())
      else
        void by
          .sign({ iss: server.url, aud: 'orders', iat: clock.now() / 1000, ...claims })
          .then((token) => response.writeHead(200, { 'content-type': 'application/token-introspection+jwt' }).end(token))
    }) satisfies TestServer['answer']
  const strict = () =>
    orders({ server: sts({ endpoints: { introspection: `${server.url}/introspect`, jwks: `${server.url}/jwks` } }), signedAnswers: {} })

  it('are asked for and taken, by the keys of the server', async () => {
    server.answer = signed({ token_introspection: sound() })
    expect(await outcome(strict().decide(request('good')))).toBe('allow')
    expect(server.requests[0]?.headers.accept).toBe('application/token-introspection+jwt')
  })

  it.each<[string, () => TestServer['answer'], string]>([
    ['inactive', () => signed({ token_introspection: { active: false } }), 'invalid ERR_INTROSPECTION_INACTIVE'],
    ['for another service', () => signed({ aud: 'stock', token_introspection: sound() }), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['of another issuer', () => signed({ iss: 'https://evil.example', token_introspection: sound() }), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['old', () => signed({ iat: clock.now() / 1000 - 306, token_introspection: sound() }), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['without a statement', () => signed(sound()), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['of another type', () => signed({ token_introspection: sound() }, createSigner({ key: { privateKey, keyId: 'k' } })), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['by another key', () => signed({ token_introspection: sound() }, createSigner({ key: { privateKey: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey, keyId: 'k' }, typ: 'token-introspection+jwt' })), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['not signed at all', () => (_f, _r, response) => json(response, 200, sound()), 'outage ERR_OAUTH_ANSWER_INVALID'],
    ['not signed, and inactive', () => (_f, _r, response) => json(response, 200, { active: false }), 'outage ERR_OAUTH_ANSWER_INVALID'],
  ])('that are %s are not', async (_what, answer, expected) => {
    server.answer = answer()
    expect(publicKey.type).toBe('public')
    expect(await outcome(strict().decide(request('good')))).toBe(expected)
  }) // prettier-ignore
})

describe('what cannot be right is refused at construction', () => {
  const client = clientSecretBasic({ clientId: 'orders', clientSecret: 'shhh' })
  it.each<[string, () => unknown, string]>([
    ['no audience', () => introspection({ server: sts(), client } as never), 'ERR_OPTION_MISSING'],
    ['an empty audience', () => mechanism({ audience: '' }), 'ERR_OPTION_INVALID'],
    ['a misspelt option', () => mechanism({ audiance: 'a' } as never), 'ERR_OPTION_UNKNOWN'],
    ['nobody who asks', () => introspection({ server: sts(), audience: 'orders' }), 'ERR_OPTION_MISSING'],
    ['two who ask', () => mechanism({ credentials: (() => undefined) as never }), 'ERR_OPTION_MISSING'],
    ['an age of nothing', () => mechanism({ cache: { maxAgeMs: 0 } }), 'ERR_OPTION_INVALID'],
    ['an age of NaN', () => mechanism({ cache: { maxAgeMs: Number.NaN } }), 'ERR_OPTION_INVALID'],
    ['a misspelt cache option', () => mechanism({ cache: { maxAge: 5 } as never }), 'ERR_OPTION_UNKNOWN'],
    ['a parameter of the protocol', () => mechanism({ parameters: { token: 'other' } }), 'ERR_OAUTH_PARAMETER_RESERVED'],
    ['signed answers that are undefined', () => mechanism({ signedAnswers: undefined } as never), 'ERR_OPTION_INVALID'],
    ['a missing issuer allowed by data', () => mechanism({ issuerClaim: 'none' as never }), 'ERR_OPTION_INVALID'],
    ['a server without the endpoint', () => mechanism({ server: sts({ endpoints: { token: 'https://sts.example/token' } }) }), 'ERR_OAUTH_ENDPOINT_MISSING'],
    ['signed answers without keys', () => mechanism({ signedAnswers: {} }), 'ERR_OAUTH_ENDPOINT_MISSING'],
  ])('%s', (_what, make, code) => {
    expect(make).toThrow(expect.objectContaining({ code }))
  }) // prettier-ignore

  it('and composes with others', () => {
    expect(() => guard({ authenticate: allOf(mechanism(), mechanism()) })).not.toThrow()
  })
})
