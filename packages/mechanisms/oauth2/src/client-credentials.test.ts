import { createHmac, generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { manualClock, type ManualClock } from '@portcullis/core/testing'
import { keepWarm, secret, type Credential, type Supplied, type Target } from '@portcullis/core'
import { keySet, createVerifier } from '@portcullis/jwt'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  authorizationServer,
  clientCredentials,
  clientSecretBasic,
  clientSecretJwt,
  clientSecretPost,
  none,
  privateKeyJwt,
  tlsClientAuth,
  type AuthorizationServerOptions,
  type ClientCredentialsOptions,
  type TokenEvent,
} from './index.ts'
import { issuing, json, testServer, type TestServer } from './servers.test-support.ts'

let tls: DevelopmentTls
let server: TestServer
let clock: ManualClock
const orders = { origin: 'https://orders.example', secure: true }
const stock = { origin: 'https://stock.example:8443', secure: true }

beforeAll(async () => {
  tls = await developmentTls({ clientCertificates: 'accept' })
})
beforeEach(async () => {
  clock = manualClock()
  server = await testServer(tls)
})
afterEach(() => server.close())

function sts(options: Partial<AuthorizationServerOptions> = {}) {
  return authorizationServer({
    issuer: server.url,
    endpoints: { token: `${server.url}/token` },
    tls: tls.client,
    clock,
    random: () => 0,
    ...options,
  })
}

function source(options: Partial<ClientCredentialsOptions> = {}) {
  return clientCredentials({
    server: sts(),
    client: clientSecretBasic({ clientId: 'shop', clientSecret: 'shhh' }),
    targets: ['https://orders.example', 'https://stock.example:8443'],
    ...options,
  })
}

async function refusal(asked: ReturnType<typeof source>, target: Target): Promise<string> {
  try {
    await asked({ target })
    return 'supplied'
  } catch (error) {
    return (error as { code: string }).code
  }
}

function tokenOf(supplied: Supplied): string {
  const { credential } = supplied
  if (credential.kind !== 'bearer') throw new Error(`a ${credential.kind}`)
  return credential.token.reveal()
}

describe('client credentials', () => {
  it('asks with the grant, the scopes and the parameters, all of them encoded', async () => {
    const supplied = await source({
      scopes: ['orders:read', 'a&b=c'],
      parameters: { tenant: 'ä & ö', region: ['north', 'south'] },
    })({ target: orders })
    expect(tokenOf(supplied)).toBe('token-1')
    expect(supplied.expiresAt).toEqual(new Date(clock.now() + 300_000))
    const [request] = server.requests
    expect(request?.path).toBe('/token')
    expect([...(request?.form ?? [])].toSorted(([a], [b]) => (a < b ? -1 : 1))).toEqual([
      ['grant_type', 'client_credentials'],
      ['region', 'north'],
      ['region', 'south'],
      ['scope', 'orders:read a&b=c'],
      ['tenant', 'ä & ö'],
    ])
  })

  it('asks once for a hundred concurrent callers of a cold source', async () => {
    const asked = source()
    const supplied = await Promise.all(Array.from({ length: 100 }, () => asked({ target: orders })))
    expect(new Set(supplied.map(tokenOf))).toEqual(new Set(['token-1']))
    expect(server.requests).toHaveLength(1)
    expect(tokenOf(await asked({ target: orders }))).toBe('token-1')
    expect(server.requests).toHaveLength(1)
  })

  it('gives each target a token of its own, for its resource and audience', async () => {
    const asked = source({
      scopes: 'all',
      parameters: { tenant: 'a', other: 'b' },
      targets: {
        'https://orders.example': { resource: 'https://orders.example/api', parameters: { tenant: 'c' } },
        'https://stock.example:8443': { audience: ['stock', 'depot'], scopes: 'stock:read' },
      },
    })
    expect(tokenOf(await asked({ target: orders }))).toBe('token-1')
    expect(tokenOf(await asked({ target: stock }))).toBe('token-2')
    expect(String(server.requests[0]?.form)).toBe(
      'other=b&tenant=c&resource=https%3A%2F%2Forders.example%2Fapi&scope=all&grant_type=client_credentials',
    )
    expect(String(server.requests[1]?.form)).toBe(
      'tenant=a&other=b&audience=stock&audience=depot&scope=stock%3Aread&grant_type=client_credentials',
    )
  })

  it.each([
    ['another target', { origin: 'https://evil.example', secure: true }, 'ERR_SOURCE_TARGET'],
    ['a target that only looks like it', { origin: 'https://orders.example.evil.example', secure: true }, 'ERR_SOURCE_TARGET'],
    ['an insecure channel', { origin: 'https://orders.example', secure: false }, 'ERR_SOURCE_INSECURE'],
  ])('gives nothing to %s', async (_what, target, code) => {
    await expect((async () => source()({ target }))()).rejects.toMatchObject({ code })
    expect(server.requests).toHaveLength(0)
  })

  it('starts without the server, and finds it when it is there', async () => {
    const { url } = server
    const asked = source()
    await server.close()
    await expect(asked({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_UNREACHABLE', family: 'unavailable' })
    server = await testServer(tls, issuing(), Number(new URL(url).port))
    await expect(asked({ target: orders })).rejects.toMatchObject({ retryAfterMs: 500 })
    expect(server.requests).toHaveLength(0)
    clock.advance(500)
    expect(tokenOf(await asked({ target: orders }))).toBe('token-1')
  })

  it('renews ahead of expiry in the background, keeps the last good token, and leaves a failing server alone', async () => {
    const asked = source()
    const events: TokenEvent['type'][] = []
    asked.subscribe(({ type }) => events.push(type))
    asked.subscribe(() => {
      throw new Error('a faulty listener')
    })
    await asked({ target: orders })
    server.answer = (_form, _request, response) => json(response, 503, { error: 'temporarily_unavailable' })
    clock.advance(271_000)
    expect(tokenOf(await asked({ target: orders }))).toBe('token-1')
    await expect.poll(() => events).toEqual(['issued', 'failed'])
    for (let calls = 0; calls < 50; calls++) expect(tokenOf(await asked({ target: orders }))).toBe('token-1')
    expect(server.requests).toHaveLength(2)
    for (let second = 0; second < 28; second++) {
      clock.advance(1_000)
      expect(tokenOf(await asked({ target: orders }))).toBe('token-1')
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    // After 0.5, 1, 2, 4, 8 and 16 seconds, not with each of the calls.
    expect(server.requests.length).toBeLessThanOrEqual(8)
    clock.advance(1_000)
    await expect(asked({ target: orders })).rejects.toMatchObject({ family: 'unavailable' })
    server.answer = issuing({ access_token: 'fresh' })
    clock.advance(60_000)
    expect(tokenOf(await asked({ target: orders }))).toBe('fresh')
    expect(events.at(-1)).toBe('issued')
  })

  it('replaces a refused token once for a burst of refusals, and slowly when each new one is refused too', async () => {
    const asked = source()
    const first = (await asked({ target: orders })).credential
    const burst = await Promise.all(Array.from({ length: 20 }, () => asked({ target: orders, refused: first })))
    expect(new Set(burst.map(tokenOf))).toEqual(new Set(['token-2']))
    expect(tokenOf(await asked({ target: orders, refused: first }))).toBe('token-2')
    const second = burst[0]?.credential as Credential
    await expect(asked({ target: orders, refused: second })).rejects.toMatchObject({ code: 'ERR_SOURCE_EXHAUSTED' })
    expect(server.requests).toHaveLength(2)
    clock.advance(1_000)
    expect(tokenOf(await asked({ target: orders, refused: second }))).toBe('token-3')
  })

  it('feeds a warm credential, which tells its subscribers of each new token', async () => {
    using warm = keepWarm(source(), orders, { clock, random: () => 0 })
    await warm.ready()
    const heard: string[] = []
    warm.subscribe((supplied) => heard.push(tokenOf(supplied)))
    clock.advance(270_000)
    // The source under it renews in the background and still gives the old one; the next time it gives the new one.
    await expect.poll(() => server.requests.length).toBe(2)
    clock.advance(24_000)
    await expect.poll(() => heard).toEqual(['token-2'])
  })

  it.each([
    [{ expires_in: undefined }, {}, 3_600_000],
    [{ expires_in: undefined }, { defaultLifetimeSeconds: 60 }, 60_000],
    [{ expires_in: '120' }, {}, 120_000],
    [{ expires_in: 120 }, { clockSkewSeconds: 20 }, 100_000],
  ])('takes the life of %j with %j as %i ms', async (content, options, lifetimeMs) => {
    server.answer = issuing(content)
    const supplied = await source(options)({ target: orders })
    expect(supplied.expiresAt).toEqual(new Date(clock.now() + lifetimeMs))
  })

  it('does not ask with every request for a token that has no life', async () => {
    server.answer = issuing({ expires_in: 0 })
    const asked = source()
    for (let times = 0; times < 10; times++) expect(tokenOf(await asked({ target: orders }))).toBe('token-1')
    expect(server.requests).toHaveLength(1)
  })

  it('knows its target in any spelling', async () => {
    const asked = source()
    await asked({ target: { origin: 'HTTPS://Orders.Example:443/', secure: true } })
    expect(await refusal(asked, { origin: 'https://orders.example:444', secure: true })).toBe('ERR_SOURCE_TARGET')
    expect(await refusal(asked, { origin: 'https://orders.example', secure: undefined as never })).toBe('ERR_SOURCE_INSECURE')
    expect(await refusal(asked, { origin: 'https://orders.example', secure: false })).toBe('ERR_SOURCE_INSECURE')
  })

  it('takes a 201 for a success', async () => {
    server.answer = (_form, _request, response) => json(response, 201, { access_token: 'made', token_type: 'bearer' })
    expect(tokenOf(await source()({ target: orders }))).toBe('made')
  })

  it('discovers the token endpoint, by RFC 8414 or else by OpenID Connect, once', async () => {
    server.answer = (_form, request, response) => {
      if (request.url === '/.well-known/openid-configuration')
        json(response, 200, { issuer: server.url, token_endpoint: `${server.url}/found` })
      else if (request.url === '/found') json(response, 200, { access_token: 'found', token_type: 'bearer' })
      else response.writeHead(404).end()
    }
    const found = source({ server: authorizationServer({ issuer: server.url, tls: tls.client, clock }) })
    await Promise.all([found({ target: orders }), found({ target: stock })])
    expect(server.requests.map(({ path }) => path)).toEqual([
      '/.well-known/oauth-authorization-server',
      '/.well-known/openid-configuration',
      '/found',
      '/found',
    ])
  })

  it('reads the metadata again after an hour, and goes on with the last ones where that fails', async () => {
    let place = '/first'
    server.answer = (_form, request, response) => {
      if (request.url?.startsWith('/.well-known/') === true)
        if (place === '') response.writeHead(500).end()
        else json(response, 200, { issuer: server.url, token_endpoint: `${server.url}${place}` })
      else json(response, 200, { access_token: 'found', token_type: 'bearer', expires_in: 1_800 })
    }
    const found = source({ server: authorizationServer({ issuer: server.url, tls: tls.client, clock, random: () => 0 }) })
    const asked = async (): Promise<string | undefined> => {
      await found({ target: orders })
      await expect.poll(() => server.requests.at(-1)?.path).not.toBe('/.well-known/openid-configuration')
      return server.requests.findLast(({ path }) => !path.startsWith('/.well-known/'))?.path
    }
    expect(await asked()).toBe('/first')
    place = ''
    clock.advance(3_600_000)
    expect(await asked()).toBe('/first')
    place = '/second'
    clock.advance(3_600_000)
    await asked()
    await expect.poll(() => server.requests.filter(({ path }) => path.startsWith('/.well-known/')).length).toBe(3)
    clock.advance(1_800_000)
    expect(await asked()).toBe('/second')
  })

  it.each<[string, (url: string) => object, string]>([
    ['of another issuer', (url) => ({ issuer: 'https://evil.example', token_endpoint: `${url}/token` }), 'ERR_OAUTH_METADATA_INVALID'],
    ['whose issuer differs by a slash', (url) => ({ issuer: `${url}/`, token_endpoint: `${url}/token` }), 'ERR_OAUTH_METADATA_INVALID'],
    ['without the endpoint', (url) => ({ issuer: url }), 'ERR_OAUTH_METADATA_INVALID'],
    [
      'with an endpoint in plain text',
      (url) => ({ issuer: url, token_endpoint: `${url.replace('https', 'http')}/token` }),
      'ERR_OAUTH_ANSWER_INVALID',
    ],
  ])('takes no metadata %s', async (_what, content, code) => {
    server.answer = (form, request, response) => {
      if (request.url?.startsWith('/.well-known/') === true) json(response, 200, content(server.url))
      else issuing()(form, request, response)
    }
    const asked = source({ server: authorizationServer({ issuer: server.url, tls: tls.client, clock }) })
    await expect(asked({ target: orders })).rejects.toMatchObject({ family: 'unavailable', code })
    expect(server.requests.every(({ path }) => path.startsWith('/.well-known/'))).toBe(true)
  })
})

describe('an answer of the token endpoint', () => {
  it.each<[string, TestServer['answer'], string]>([
    ['is no JSON', (_f, _r, response) => void response.writeHead(200, { 'content-type': 'application/json' }).end('{"access_to'), 'ERR_OAUTH_ANSWER_INVALID'],
    ['is HTML', (_f, _r, response) => void response.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Log in</h1>'), 'ERR_OAUTH_ANSWER_INVALID'],
    ['has no token', (_f, _r, response) => json(response, 200, { token_type: 'bearer' }), 'ERR_OAUTH_ANSWER_INVALID'],
    ['has an empty token', (_f, _r, response) => json(response, 200, { access_token: '', token_type: 'bearer' }), 'ERR_OAUTH_ANSWER_INVALID'],
    ['has a token that would break a header', (_f, _r, response) => json(response, 200, { access_token: 'a\r\nx: y', token_type: 'bearer' }), 'ERR_OAUTH_ANSWER_INVALID'],
    ['has a token of another type', (_f, _r, response) => json(response, 200, { access_token: 'a', token_type: 'mac' }), 'ERR_OAUTH_TOKEN_TYPE'],
    ['has a bound token that nobody asked for', (_f, _r, response) => json(response, 200, { access_token: 'a', token_type: 'DPoP' }), 'ERR_OAUTH_TOKEN_TYPE'],
    ['has a life that is no number', (_f, _r, response) => json(response, 200, { access_token: 'a', token_type: 'bearer', expires_in: 'soon' }), 'ERR_OAUTH_ANSWER_INVALID'],
    ['is larger than a mebibyte', (_f, _r, response) => json(response, 200, { access_token: 'a'.repeat(1_100_000), token_type: 'bearer' }), 'ERR_OAUTH_ANSWER_TOO_LARGE'],
    ['is a redirect', (_f, _r, response) => void response.writeHead(307, { location: 'https://evil.example/' }).end(), 'ERR_OAUTH_ANSWER_INVALID'],
    ['is a failure', (_f, _r, response) => void response.writeHead(502).end('bad gateway'), 'ERR_OAUTH_SERVER_FAILED'],
    ['is a failure in the words of the protocol', (_f, _r, response) => json(response, 503, { error: 'invalid_client' }), 'ERR_OAUTH_SERVER_FAILED'],
    ['asks for patience', (_f, _r, response) => json(response, 400, { error: 'temporarily_unavailable' }), 'ERR_OAUTH_SERVER_FAILED'],
    ['says that there were too many', (_f, _r, response) => json(response, 429, { error: 'slow_down' }), 'ERR_OAUTH_SERVER_FAILED'],
    ['breaks off', (_f, _r, response) => { response.writeHead(200, { 'content-length': '100' }).write('{'); setTimeout(() => response.destroy(), 10) }, 'ERR_OAUTH_UNREACHABLE'],
    ['does not come', () => undefined, 'ERR_OAUTH_TIMEOUT'],
    ['comes a byte at a time', (_f, _r, response) => { response.writeHead(200); const drip = setInterval(() => response.write(' '), 20); response.on('close', () => clearInterval(drip)) }, 'ERR_OAUTH_TIMEOUT'],
  ])('that %s is no token', async (_what, answer, code) => {
    server.answer = answer
    const asked = source({ server: sts({ timeoutMs: 300 }) })
    await expect(asked({ target: orders })).rejects.toMatchObject({ code, family: 'unavailable' })
  }) // prettier-ignore

  it('that refuses says why, and holds no secret', async () => {
    server.answer = (_form, _request, response) =>
      json(response, 400, { error: 'invalid_scope', error_description: 'no such\nscope', access_token: 'TOPSECRET' })
    const error: unknown = await (async () => source()({ target: orders }))().catch((caught: unknown) => caught)
    expect(error).toMatchObject({ code: 'ERR_OAUTH_REFUSED', error: 'invalid_scope', family: 'unavailable' })
    expect((error as Error).message).toContain('no such scope')
    expect(inspect(error, { depth: 9 })).not.toContain('TOPSECRET')
  })

  it('that fails a check keeps the token out of the error', async () => {
    server.answer = (_form, _request, response) => json(response, 200, { access_token: 'TOPSECRET', token_type: 'mac' })
    const error: unknown = await (async () => source()({ target: orders }))().catch((caught: unknown) => caught)
    expect(inspect(error, { depth: 9 })).not.toContain('TOPSECRET')
  })

  it('that is refused with 401 and a challenge is a refusal of the client', async () => {
    server.answer = (_form, _request, response) =>
      json(response, 401, { error: 'invalid_client' }, { 'www-authenticate': 'Basic realm="sts"' })
    await expect(source()({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_REFUSED', error: 'invalid_client' })
  })
})

describe('the channel to the token endpoint', () => {
  it('is refused for a server that the bundle does not trust', async () => {
    const stranger = await developmentTls()
    const asked = source({ server: sts({ tls: stranger.client }) })
    await expect(asked({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_SERVER_UNTRUSTED' })
    expect(server.requests).toHaveLength(0)
  })

  it('trusts the public authorities if nothing else is said, and so not this server', async () => {
    const asked = source({ server: authorizationServer({ issuer: server.url, endpoints: { token: `${server.url}/token` } }) })
    await expect(asked({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_SERVER_UNTRUSTED' })
  })

  it('gives up a connection that does not come about', async () => {
    const silent = createServer()
    await once(silent.listen(0, '127.0.0.1'), 'listening')
    const { port } = silent.address() as AddressInfo
    const asked = source({ server: sts({ endpoints: { token: `https://localhost:${port}/` }, connectTimeoutMs: 100 }) })
    await expect(asked({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_TIMEOUT' })
    silent.close()
  })

  it('ends with the last caller that waits, and not with the first that leaves', async () => {
    const held: (() => void)[] = []
    const answer = issuing()
    server.answer = (form, request, response) => void held.push(() => answer(form, request, response))
    const asked = source()
    const leaving = new AbortController()
    const left = Promise.resolve(asked({ target: orders, signal: leaving.signal }))
    const staying = Promise.resolve(asked({ target: orders, signal: new AbortController().signal }))
    await expect.poll(() => held.length).toBe(1)
    leaving.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
    held[0]?.()
    expect(tokenOf(await staying)).toBe('token-1')
  })

  it('repeats once what met a connection that the server had closed meanwhile', async () => {
    const { url } = server
    const asked = source()
    await asked({ target: orders })
    await server.close()
    server = await testServer(tls, issuing({ access_token: 'again' }), Number(new URL(url).port))
    expect(tokenOf(await asked({ target: stock }))).toBe('again')
  })

  it('is made anew after the bundle was reloaded', async () => {
    const bundle = await tls.clientFor('shop')
    const asked = source({ server: sts({ tls: bundle }) })
    await asked({ target: orders })
    expect(await server.connections()).toBe(1)
    await bundle.reload()
    await expect.poll(() => server.connections()).toBe(0)
    await asked({ target: stock })
    expect(server.requests.map(({ thumbprint }) => typeof thumbprint)).toEqual(['string', 'string'])
  })

  it('carries the configured header fields', async () => {
    await source({ server: sts({ headers: { 'x-gateway': 'a' } }) })({ target: orders })
    expect(server.requests[0]?.headers['x-gateway']).toBe('a')
  })
})

describe('a client proves itself', () => {
  it('by client_secret_basic, form-encoded before base64', async () => {
    await source({ client: clientSecretBasic({ clientId: 'a:b', clientSecret: secret('p%ä') }) })({ target: orders })
    const header = server.requests[0]?.headers.authorization ?? ''
    expect(Buffer.from(header.slice(6), 'base64').toString()).toBe('a%3Ab:p%25%C3%A4')
    expect(server.requests[0]?.form.has('client_secret')).toBe(false)
  })

  it('by client_secret_post', async () => {
    await source({ client: clientSecretPost({ clientId: 'shop', clientSecret: () => 'a&b' }) })({ target: orders })
    expect(server.requests[0]?.form.get('client_id')).toBe('shop')
    expect(server.requests[0]?.form.get('client_secret')).toBe('a&b')
    expect(server.requests[0]?.headers.authorization).toBeUndefined()
  })

  it('by client_secret_jwt', async () => {
    await source({ client: clientSecretJwt({ clientId: 'shop', clientSecret: 's'.repeat(32) }) })({ target: orders })
    const assertion = server.requests[0]?.form.get('client_assertion') ?? ''
    const [header, payload, signature] = assertion.split('.')
    expect(createHmac('sha256', 's'.repeat(32)).update(`${header}.${payload}`).digest('base64url')).toBe(signature)
    expect(server.requests[0]?.form.get('client_secret')).toBeNull()
  })

  it('by private_key_jwt, with an assertion for this server that lives a minute and is never the same', async () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const asked = source({ client: privateKeyJwt({ clientId: 'shop', key: { privateKey, keyId: 'k1' } }) })
    await asked({ target: orders })
    await asked({ target: stock })
    const verifier = createVerifier({ issuer: 'shop', audience: server.url, keys: keySet({ publicKey }), clock })
    const ids = new Set<unknown>()
    for (const { form } of server.requests) {
      expect(form.get('client_assertion_type')).toBe('urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
      const result = await verifier.verify(form.get('client_assertion') ?? '')
      if ('refused' in result) throw new Error(result.refused)
      expect(result.claims).toMatchObject({ iss: 'shop', sub: 'shop', exp: clock.now() / 1000 + 60 })
      ids.add(result.claims.jti)
    }
    expect(ids.size).toBe(2)
  })

  it('by tls_client_auth, at the endpoint for mutual TLS where there is one', async () => {
    server.answer = (_form, request, response) => {
      if (request.url === '/.well-known/oauth-authorization-server')
        json(response, 200, {
          issuer: server.url,
          token_endpoint: `${server.url}/plain`,
          mtls_endpoint_aliases: { token_endpoint: `${server.url}/mutual` },
        })
      else issuing()(_form, request, response)
    }
    const certified = await tls.clientFor('shop')
    await source({
      server: authorizationServer({ issuer: server.url, tls: certified, clock }),
      client: tlsClientAuth({ clientId: 'shop' }),
    })({ target: orders })
    const last = server.requests.at(-1)
    expect(last?.path).toBe('/mutual')
    expect(last?.form.get('client_id')).toBe('shop')
    expect(last?.thumbprint).toMatch(/^[\w-]{43}$/)
  })
})

describe('what cannot be right is refused at construction', () => {
  const client = clientSecretBasic({ clientId: 'shop', clientSecret: 'shhh' })
  it.each<[string, () => unknown, string]>([
    ['a misspelt option', () => source({ scope: ['a'] } as never), 'ERR_OPTION_UNKNOWN'],
    ['no targets', () => source({ targets: [] as never }), 'ERR_OPTION_INVALID'],
    ['a target that is no origin', () => source({ targets: ['orders'] }), 'ERR_OPTION_INVALID'],
    ['an empty list of scopes', () => source({ scopes: [] as never }), 'ERR_OPTION_INVALID'],
    ['an empty scope', () => source({ scopes: '' }), 'ERR_OPTION_INVALID'],
    ['a scope with a quote', () => source({ scopes: ['"'] }), 'ERR_OPTION_INVALID'],
    ['a parameter of the protocol', () => source({ parameters: { grant_type: 'password' } }), 'ERR_OAUTH_PARAMETER_RESERVED'],
    ['a lifetime of nothing', () => source({ defaultLifetimeSeconds: 0 }), 'ERR_OPTION_INVALID'],
    ['a resource with a fragment', () => source({ targets: { 'https://a.example': { resource: 'https://a.example/#x' } } }), 'ERR_OPTION_INVALID'],
    ['a public client', () => source({ client: none({ clientId: 'shop' }) }), 'ERR_OPTION_INVALID'],
    ['a client of one’s own making', () => source({ client: { method: 'toString', clientId: 'a', authenticate: () => undefined } as never }), 'ERR_OPTION_INVALID'],
    ['an empty secret', () => clientSecretBasic({ clientId: 'shop', clientSecret: '' }), 'ERR_OPTION_INVALID'],
    ['no secret', () => clientSecretBasic({ clientId: 'shop' } as never), 'ERR_OPTION_MISSING'],
    ['an issuer in plain text', () => authorizationServer({ issuer: 'http://sts.example' }), 'ERR_OPTION_INVALID'],
    ['an endpoint in plain text', () => authorizationServer({ issuer: 'https://sts.example', endpoints: { token: 'http://sts.example/token' } }), 'ERR_OPTION_INVALID'],
    ['an endpoint that is absent', () => source({ server: authorizationServer({ issuer: 'https://sts.example', endpoints: { jwks: 'https://sts.example/jwks' } }) }), 'ERR_OAUTH_ENDPOINT_MISSING'],
    ['a bundle of a server', () => sts({ tls: tls.server as never }), 'ERR_OPTION_INVALID'],
    ['a bundle that is none', () => sts({ tls: undefined as never }), 'ERR_OPTION_INVALID'],
    ['a time-out of nothing', () => sts({ timeoutMs: 0 }), 'ERR_OPTION_INVALID'],
    ['a header that is not set by hand', () => sts({ headers: { Authorization: 'Basic x' } }), 'ERR_OPTION_INVALID'],
  ])('%s', (_what, make, code) => {
    expect(client.method).toBe('client_secret_basic')
    expect(make).toThrow(expect.objectContaining({ code }))
  }) // prettier-ignore
})
