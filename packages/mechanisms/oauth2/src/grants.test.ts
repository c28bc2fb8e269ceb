import { createHash } from 'node:crypto'
import { request as plainRequest, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { manualClock, type ManualClock } from '@portcullis/core/testing'
import type { Secret, Supplied } from '@portcullis/core'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  authorizationCode,
  authorizationServer,
  clientSecretBasic,
  deviceAuthorization,
  directToken,
  jwtBearer,
  none,
  OAuthRefusal,
  password,
  refreshToken,
  tokenExchange,
  type UserCode,
} from './index.ts'
import { issuing, json, testServer, type TestServer } from './servers.test-support.ts'

let tls: DevelopmentTls
let server: TestServer
let clock: ManualClock
const orders = { origin: 'https://orders.example', secure: true }
const stock = { origin: 'https://stock.example', secure: true }
const client = clientSecretBasic({ clientId: 'shop', clientSecret: 'shhh' })
const targets = ['https://orders.example'] as const

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(async () => {
  clock = manualClock()
  server = await testServer(tls)
})
afterEach(() => server.close())

function sts(path = '/token') {
  const endpoints = { token: `${server.url}${path}`, authorization: `${server.url}/authorize`, deviceAuthorization: `${server.url}/device` }
  return authorizationServer({ issuer: server.url, endpoints, tls: tls.client, clock, random: () => 0 })
}

function tokenOf({ credential }: Supplied): string {
  if (credential.kind !== 'bearer') throw new Error(credential.kind)
  return credential.token.reveal()
}

function forms(): Record<string, string>[] {
  return server.requests.map(({ form }) => Object.fromEntries(form))
}

/** Rotates refresh tokens as RFC 9700 section 4.14.2 has it: a token that comes twice ends the family. */
function rotating(first: string): TestServer['answer'] {
  let current = first
  let isRevoked = false
  let issued = 0
  return (form, _request, response) => {
    if (form.get('grant_type') === 'refresh_token') {
      if (isRevoked || form.get('refresh_token') !== current) {
        isRevoked = true
        json(response, 400, { error: 'invalid_grant' })
        return
      }
    }
    current = `refresh-${++issued}`
    json(response, 200, { access_token: `token-${issued}`, token_type: 'bearer', expires_in: 300, refresh_token: current })
  }
}

describe('the password grant', () => {
  const user = { username: 'älice', password: 'p&=ß' }

  it('sends name and password encoded, and sends them again without a refresh configuration', async () => {
    const source = password({ server: sts(), targets, ...user, client, scopes: 'a' })
    await source({ target: orders })
    clock.advance(300_000)
    await source({ target: orders })
    expect(forms()).toEqual(Array.from({ length: 2 }, () => ({ grant_type: 'password', scope: 'a', ...user })))
  })

  it('renews by the refresh token with inferred scopes and parameters, and begins again when that is over', async () => {
    server.answer = rotating('none')
    const source = password({ server: sts(), targets, ...user, scopes: 'a', parameters: { tenant: 't' }, refresh: 'infer' })
    await source({ target: orders })
    clock.advance(300_000)
    expect(tokenOf(await source({ target: orders }))).toBe('token-2')
    expect(forms()[1]).toEqual({ grant_type: 'refresh_token', refresh_token: 'refresh-1', scope: 'a', tenant: 't' })
    expect(server.requests[0]?.headers.authorization).toBeUndefined()
    server.answer = (form, request, response) => {
      if (form.get('grant_type') === 'refresh_token') json(response, 400, { error: 'invalid_grant' })
      else issuing()(form, request, response)
    }
    clock.advance(300_000)
    await source({ target: orders })
    expect(forms().map(({ grant_type }) => grant_type)).toEqual(['password', 'refresh_token', 'refresh_token', 'password'])
  })

  it('renews elsewhere, as another client, where that is said', async () => {
    server.answer = rotating('none')
    const refresh = { server: sts('/refresh'), client: clientSecretBasic({ clientId: 'other', clientSecret: 'x' }), scopes: 'b' }
    const source = password({
      server: sts(),
      targets: { 'https://orders.example': { audience: 'o' } },
      ...user,
      scopes: 'a',
      parameters: { p: '1' },
      refresh,
    })
    await source({ target: orders })
    clock.advance(300_000)
    await source({ target: orders })
    expect(server.requests[1]?.path).toBe('/refresh')
    expect(forms()[1]).toEqual({ grant_type: 'refresh_token', refresh_token: 'refresh-1', scope: 'b', audience: 'o' })
    expect(server.requests[1]?.headers.authorization).toBe(`Basic ${Buffer.from('other:x').toString('base64')}`)
  })
})

describe('the refresh token grant', () => {
  it('uses the newest refresh token, and tells whoever keeps it', async () => {
    server.answer = rotating('first')
    const kept: string[] = []
    const source = refreshToken({
      server: sts(),
      client,
      targets,
      refreshToken: 'first',
      onRotated: (token: Secret) => void kept.push(token.reveal()),
    })
    for (let times = 0; times < 3; times++) {
      await source({ target: orders })
      clock.advance(300_000)
    }
    expect(forms().map(({ refresh_token }) => refresh_token)).toEqual(['first', 'refresh-1', 'refresh-2'])
    expect(kept).toEqual(['refresh-1', 'refresh-2', 'refresh-3'])
  })

  it.each([
    ['an error', () => new Error('the disk is full')],
    ['what a server says of a spent token', () => new OAuthRefusal('ERR_OAUTH_REFUSED', 'invalid_grant', 'not mine')],
  ])('goes on from the new refresh token though keeping it failed with %s, and offers it until it is kept', async (_, failure) => {
    server.answer = rotating('first')
    const offered: string[] = []
    let isBroken = true
    const source = refreshToken({
      server: sts(),
      client,
      targets,
      refreshToken: 'first',
      onRotated(token) {
        offered.push(token.reveal())
        if (isBroken) throw failure()
      },
    })
    await expect(source({ target: orders })).rejects.toThrow(failure().message)
    clock.advance(60_000)
    isBroken = false
    // A server that rotates no more.
    server.answer = issuing()
    await source({ target: orders })
    clock.advance(300_000)
    await source({ target: orders })
    expect(forms().map(({ refresh_token }) => refresh_token)).toEqual(['first', 'refresh-1', 'refresh-1'])
    expect(offered).toEqual(['refresh-1', 'refresh-1'])
  })

  it('asks for one target after the other, so that no refresh token is sent twice', async () => {
    server.answer = rotating('first')
    const many = Array.from({ length: 20 }, (_, at) => `https://s${at}.example`)
    const source = refreshToken({ server: sts(), client, targets: many as [string, ...string[]], refreshToken: 'first' })
    await Promise.all(many.map((origin) => source({ target: { origin, secure: true } })))
    expect(new Set(forms().map(({ refresh_token }) => refresh_token)).size).toBe(20)
  })

  it('keeps the old one where the answer gets lost or has none', async () => {
    const source = refreshToken({ server: sts(), client, targets: [...targets, 'https://stock.example'], refreshToken: 'first' })
    server.answer = (_form, _request, response) => void response.destroy()
    await expect(source({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_UNREACHABLE' })
    server.answer = issuing()
    await source({ target: stock })
    clock.advance(1_000)
    await source({ target: orders })
    expect(new Set(forms().map(({ refresh_token }) => refresh_token))).toEqual(new Set(['first']))
  })

  it('does not lose a rotated token because a caller left', async () => {
    const answer = rotating('first')
    const held: (() => void)[] = []
    server.answer = (form, request, response) => void held.push(() => answer(form, request, response))
    const source = refreshToken({ server: sts(), client, targets, refreshToken: 'first' })
    const leaving = new AbortController()
    const left = Promise.resolve(source({ target: orders, signal: leaving.signal }))
    await expect.poll(() => held.length).toBe(1)
    leaving.abort(new Error('gone'))
    await expect(left).rejects.toThrow('gone')
    held[0]?.()
    server.answer = answer
    expect(tokenOf(await source({ target: orders }))).toBe('token-2')
  })

  it('never sends a refused token again, but takes another from the configuration', async () => {
    server.answer = rotating('second')
    let configured = 'first'
    const source = refreshToken({ server: sts(), client, targets, refreshToken: () => configured })
    server.answer = (_form, _request, response) => json(response, 400, { error: 'invalid_grant' })
    await expect(source({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_GRANT_ENDED' })
    clock.advance(60_000)
    await expect(source({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_GRANT_ENDED' })
    expect(server.requests).toHaveLength(1)
    configured = 'second'
    server.answer = rotating('second')
    clock.advance(60_000)
    expect(tokenOf(await source({ target: orders }))).toBe('token-1')
  })
})

describe('a direct token', () => {
  it('serves as long as it lasts, and then its refresh token', async () => {
    server.answer = rotating('first')
    const source = directToken({
      server: sts(),
      client,
      targets,
      accessToken: 'given',
      expiresAt: new Date(clock.now() + 60_000),
      refreshToken: 'first',
    })
    expect(tokenOf(await source({ target: orders }))).toBe('given')
    expect(server.requests).toHaveLength(0)
    clock.advance(60_000)
    expect(tokenOf(await source({ target: orders }))).toBe('token-1')
  })

  it('is replaced when it is refused, and not used when it has expired', async () => {
    server.answer = rotating('first')
    const source = directToken({ server: sts(), client, targets, accessToken: 'given', refreshToken: 'first' })
    const { credential } = await source({ target: orders })
    expect(tokenOf(await source({ target: orders, refused: credential }))).toBe('token-1')
    server.answer = rotating('first')
    const late = directToken({
      server: sts(),
      client,
      targets,
      accessToken: 'given',
      expiresAt: new Date(clock.now()),
      refreshToken: 'first',
    })
    expect(tokenOf(await late({ target: orders }))).toBe('token-1')
  })

  it('has one target', () => {
    const two = () =>
      directToken({ server: sts(), client, targets: [...targets, 'https://stock.example'], accessToken: 'a', refreshToken: 'b' })
    expect(two).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })
})

describe('assertions and exchange', () => {
  it('make a new assertion for each token', async () => {
    let made = 0
    const source = jwtBearer({ server: sts(), targets, assertion: () => `assertion-${++made}` })
    await source({ target: orders })
    clock.advance(300_000)
    await source({ target: orders })
    expect(forms()).toEqual(
      [1, 2].map((at) => ({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: `assertion-${at}` })),
    )
  })

  const type = (name: string) => `urn:ietf:params:oauth:token-type:${name}`

  it('exchange a token of the subject, with the one of the actor, for the target', async () => {
    server.answer = issuing({ issued_token_type: type('access_token') })
    const source = tokenExchange({
      server: sts(),
      client,
      targets: { 'https://orders.example': { audience: 'orders', scopes: 'orders:read' } },
      subject: { token: 'of-alice', type: 'jwt' },
      actor: { token: () => 'of-shop' },
    })
    expect(tokenOf(await source({ target: orders }))).toBe('token-1')
    expect(forms()[0]).toEqual({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      audience: 'orders',
      scope: 'orders:read',
      subject_token: 'of-alice',
      subject_token_type: type('jwt'),
      actor_token: 'of-shop',
      actor_token_type: type('access_token'),
      requested_token_type: type('access_token'),
    })
  })

  it.each([[{}], [{ issued_token_type: type('refresh_token') }], [{ issued_token_type: type('id_token') }]])(
    'take no other token in exchange: %j',
    async (content) => {
      server.answer = issuing(content)
      const source = tokenExchange({ server: sts(), client, targets, subject: { token: 'a' } })
      await expect(source({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_TOKEN_TYPE' })
    },
  )
})

describe('device authorization', () => {
  const device = (answers: (() => Record<string, unknown>)[], begin: Record<string, unknown> = {}): TestServer['answer'] => {
    let asked = 0
    return (_form, request, response) => {
      if (request.url === '/device')
        json(response, 200, {
          device_code: 'device',
          user_code: 'WDJB-MJHT',
          verification_uri: 'https://sts.example/device',
          expires_in: 600,
          interval: 5,
          ...begin,
        })
      else {
        const answer = answers[Math.min(asked++, answers.length - 1)]?.() ?? {}
        json(response, 'error' in answer ? 400 : 200, answer)
      }
    }
  }
  const pending = () => ({ error: 'authorization_pending' })
  const granted = () => ({ access_token: 'of-alice', token_type: 'bearer', refresh_token: 'r', expires_in: 300 })
  const codes: UserCode[] = []
  const source = () => {
    codes.length = 0
    return deviceAuthorization({
      server: sts(),
      client: none({ clientId: 'tv' }),
      targets,
      scopes: 'a',
      onUserCode: (code) => void codes.push(code),
    })
  }
  /** Lets the polling go on until it is over. */
  async function settle<T>(promise: Promise<T>): Promise<T> {
    const over = new AbortController()
    void promise.catch(() => undefined).finally(() => over.abort())
    while (!over.signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, 2))
      clock.advance(1_000)
    }
    return promise
  }

  it('shows the code, waits as it is told, and goes on by the refresh token', async () => {
    server.answer = device([pending, () => ({ error: 'slow_down' }), pending, granted, granted])
    const asked = source()
    const startedAt = clock.now()
    expect(tokenOf(await settle(Promise.resolve(asked({ target: orders }))))).toBe('of-alice')
    expect(codes).toMatchObject([{ userCode: 'WDJB-MJHT', verificationUri: 'https://sts.example/device' }])
    expect(clock.now() - startedAt).toBeGreaterThanOrEqual(30_000)
    expect(forms()[0]).toEqual({ client_id: 'tv', scope: 'a' })
    expect(forms()[1]).toEqual({ grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: 'device', client_id: 'tv' })
    clock.advance(300_000)
    await asked({ target: orders })
    expect(forms().at(-1)).toMatchObject({ grant_type: 'refresh_token', refresh_token: 'r' })
  })

  it('shows no address that is not of the web', async () => {
    server.answer = device([granted], { verification_uri: 'javascript:alert(1)' })
    await expect(source()({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_ANSWER_INVALID' })
    expect(codes).toEqual([])
  })

  it.each([
    [{ error: 'access_denied' }, 'ERR_OAUTH_LOGIN_FAILED'],
    [{ error: 'expired_token' }, 'ERR_OAUTH_LOGIN_TIMEOUT'],
    [{ error: 'authorization_pending' }, 'ERR_OAUTH_LOGIN_TIMEOUT'],
    [{ error: 'invalid_client' }, 'ERR_OAUTH_REFUSED'],
  ])('ends with %j', async (answer, code) => {
    server.answer = device([() => answer], { expires_in: 60 })
    await expect(settle(Promise.resolve(source()({ target: orders })))).rejects.toMatchObject({ code })
  })
})

describe('the authorization code grant', () => {
  const source = (openBrowser: (url: string) => void, options: object = {}) =>
    authorizationCode({ server: sts(), client: none({ clientId: 'cli' }), targets, scopes: ['a', 'b'], openBrowser, ...options })
  async function visit(url: string): Promise<number> {
    const outgoing = plainRequest(url).end()
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage]
    response.resume()
    return response.statusCode ?? 0
  }
  const redirected = (url: string, more: Record<string, string>): string => {
    const asked = new URL(url).searchParams
    const back = new URL(asked.get('redirect_uri') ?? '')
    for (const [name, value] of Object.entries({ state: asked.get('state') ?? '', ...more })) back.searchParams.set(name, value)
    return back.href
  }

  it('opens the browser with PKCE and state, takes the code on loopback, and trades it in', async () => {
    server.answer = issuing({ refresh_token: 'r' })
    let opened = new URL('https://nowhere.example')
    const supplied = await source((url) => {
      opened = new URL(url)
      void visit(redirected(url, { code: 'c0de' }))
    })({ target: orders })
    expect(tokenOf(supplied)).toBe('token-1')
    expect(opened.origin + opened.pathname).toBe(`${server.url}/authorize`)
    expect(Object.fromEntries(opened.searchParams)).toMatchObject({
      response_type: 'code',
      client_id: 'cli',
      scope: 'a b',
      code_challenge_method: 'S256',
    })
    expect(opened.searchParams.get('redirect_uri')).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/callback$/)
    const { code_verifier: verifier = '', ...form } = forms()[0] ?? {}
    expect(form).toEqual({
      grant_type: 'authorization_code',
      code: 'c0de',
      redirect_uri: opened.searchParams.get('redirect_uri'),
      client_id: 'cli',
    })
    expect(createHash('sha256').update(verifier).digest('base64url')).toBe(opened.searchParams.get('code_challenge'))
  })

  it('opens no address that is not of the web', async () => {
    server.answer = (_form, _request, response) =>
      json(response, 200, { issuer: server.url, authorization_endpoint: 'file:///bin/sh', token_endpoint: `${server.url}/token` })
    const found = authorizationServer({ issuer: server.url, tls: tls.client, clock })
    const opened: string[] = []
    const asked = source((url) => void opened.push(url), { server: found })
    await expect(asked({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_METADATA_INVALID' })
    expect(opened).toEqual([])
  })

  it('lets nobody else on the machine answer', async () => {
    const statuses: number[] = []
    const supplied = await source((url) => {
      void (async () => {
        const redirect = new URL(url).searchParams.get('redirect_uri') ?? ''
        statuses.push(
          await visit(`${redirect}?code=evil&state=guessed`),
          await visit(`${redirect}?code=evil`),
          await visit(new URL('/', redirect).href),
        )
        statuses.push(await visit(redirected(url, { code: 'good' })))
      })()
    })({ target: orders })
    expect(tokenOf(supplied)).toBe('token-1')
    expect(statuses).toEqual([400, 400, 400, 200])
    expect(forms()[0]).toMatchObject({ code: 'good' })
  })

  it('ends where the user refuses, where the answer is of another issuer, and where nobody comes', async () => {
    const refused = source((url) => void visit(redirected(url, { error: 'access_denied' })))
    await expect(refused({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_LOGIN_FAILED' })
    const foreign = source((url) => void visit(redirected(url, { code: 'c', iss: 'https://evil.example' })))
    await expect(foreign({ target: orders })).rejects.toMatchObject({ code: 'ERR_OAUTH_LOGIN_FAILED' })
    const nobody = Promise.resolve(source(() => undefined, { loginTimeoutMs: 5_000 })({ target: orders }))
    await expect.poll(() => clock.pending).toBe(1)
    clock.advance(5_000)
    await expect(nobody).rejects.toMatchObject({ code: 'ERR_OAUTH_LOGIN_TIMEOUT' })
    expect(server.requests).toHaveLength(0)
  })
})
