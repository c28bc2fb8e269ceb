import { generateKeyPairSync } from 'node:crypto'
import {
  allOf,
  anonymous,
  anyOf,
  authenticator,
  credentialOf,
  guard,
  isPrincipal,
  notMine,
  Revocation,
  secret,
  vouchForPrincipal,
  type Authenticator,
  type Credential,
  type Principal,
  type Supplied,
} from '@portcullis/core'
import { manualClock, type ManualClock } from '@portcullis/core/testing'
import { createIssuer, jwt } from '@portcullis/jwt'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { authorizationServer, clientSecretBasic, propagated, type PropagatedSource } from './index.ts'
import { json, testServer, type TestServer } from './servers.test-support.ts'

const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const accessToken = 'urn:ietf:params:oauth:token-type:access_token'
const orders = { origin: 'https://orders.example', secure: true }
const stock = { origin: 'https://stock.example', secure: true }
const legacy = { origin: 'https://legacy.example', secure: true }

let tls: DevelopmentTls
let server: TestServer
let clock: ManualClock
let source: PropagatedSource

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(async () => {
  clock = manualClock()
  let issued = 0
  server = await testServer(tls, (form, _request, response) => {
    const { sub } = JSON.parse(Buffer.from(form.get('subject_token')?.split('.')[1] ?? '', 'base64url').toString()) as { sub: string }
    // Slow and out of order, so that callers are on their way at the same time.
    const answer = {
      access_token: `${sub}.${form.get('audience')}.${++issued}`,
      token_type: 'bearer',
      issued_token_type: accessToken,
      expires_in: 100,
    }
    setTimeout(() => json(response, 200, answer), Math.random() * 20)
  })
  source = open()
})
afterEach(async () => {
  source.close()
  await server.close()
})

function sts() {
  return authorizationServer({ issuer: server.url, endpoints: { token: `${server.url}/token` }, tls: tls.client, clock })
}

function open(): PropagatedSource {
  return propagated({
    to: {
      'https://orders.example': { audience: 'orders' },
      'https://stock.example': { audience: ['stock', 'depot'], scopes: ['stock:read'] },
      'https://depot.example': { audience: ['stock', 'depot'], scopes: ['stock:read'] },
      'https://legacy.example': { accepts: 'basic' },
    },
    exchange: { server: sts(), client: clientSecretBasic({ clientId: 'shop', clientSecret: 'shhh' }) },
  })
}

const issuer = () => createIssuer({ issuer: 'https://sts.example', key: { privateKey: keys.privateKey }, clock, expiresInSeconds: 600 })
const mechanism = () => jwt({ issuer: 'https://sts.example', audience: 'shop', keys: { publicKey: keys.publicKey }, clock })
const passwords: Authenticator = authenticator(
  'passwords',
  ({ credentials }) => {
    const found = credentialOf(credentials, 'basic')
    return found === undefined ? notMine : vouchForPrincipal({ issuer: 'users', subject: found.username })
  },
  [{ scheme: 'Basic' }],
)
const keyed: Authenticator = authenticator('keys', () => vouchForPrincipal({ issuer: 'keys', subject: 'robot' }))
const shop = () => guard({ authenticate: anyOf(mechanism(), passwords), clock })

async function prove(by: ReturnType<typeof shop>, ...credentials: Credential[]): Promise<Principal> {
  const decision = await by.decide({
    credentials,
    action: 'GET',
    resource: '/',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true },
  })
  if (decision.outcome !== 'allow' || !isPrincipal(decision.principal)) throw new Error(decision.code)
  return decision.principal
}

const bearer = (token: string): Credential => ({ kind: 'bearer', carrier: 'header:x-token', token: secret(token) })
const basic: Credential = { kind: 'basic', carrier: 'authorization', username: 'tom', password: secret('hunter2') }

async function caller(subject: string, audience: readonly [string, ...string[]] = ['shop'], claims: Record<string, unknown> = {}) {
  const token = await issuer().issue({ subject, audience, claims })
  return { token, principal: await prove(shop(), bearer(token)) }
}

function tokenOf({ credential }: Supplied): string {
  if (credential.kind !== 'bearer') throw new Error(credential.kind)
  return credential.token.reveal()
}

async function refusal(work: () => unknown): Promise<string> {
  try {
    await work()
    return 'supplied'
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('a propagated credential', () => {
  it('is the caller’s own token where it names the target', async () => {
    const { token, principal } = await caller('alice', ['shop', 'orders'])
    const supplied = await source({ target: orders, onBehalfOf: principal })
    expect(supplied.credential).toMatchObject({ kind: 'bearer', carrier: 'authorization' })
    expect(tokenOf(supplied)).toBe(token)
    expect(supplied.expiresAt).toEqual(principal.expiresAt)
    expect(server.requests).toHaveLength(0)
    expect(await refusal(() => source({ target: orders, onBehalfOf: principal, refused: supplied.credential }))).toBe(
      'ERR_SOURCE_EXHAUSTED',
    )
  })

  it('is exchanged where the token does not name the target, and kept until it expires', async () => {
    const { token, principal } = await caller('alice', ['shop', 'orders'])
    const ask = () => source({ target: stock, onBehalfOf: principal })
    const first = await Promise.all(Array.from({ length: 20 }, ask))
    expect(new Set(first.map(tokenOf))).toEqual(new Set(['alice.stock.1']))
    expect(server.requests).toHaveLength(1)
    expect([...(server.requests[0]?.form ?? [])]).toEqual([
      ['audience', 'stock'],
      ['audience', 'depot'],
      ['scope', 'stock:read'],
      ['subject_token', token],
      ['subject_token_type', accessToken],
      ['requested_token_type', accessToken],
      ['grant_type', 'urn:ietf:params:oauth:grant-type:token-exchange'],
    ])
    clock.advance(89_999)
    expect(tokenOf(await ask())).toBe('alice.stock.1')
    clock.advance(1)
    expect(tokenOf(await ask())).toBe('alice.stock.2')
  })

  it('lives no longer than its caller', async () => {
    const short = await issuer().issue({ subject: 'alice', audience: 'shop', expiresInSeconds: 30 })
    const principal = await prove(shop(), bearer(short))
    const supplied = await source({ target: stock, onBehalfOf: principal })
    expect(supplied.expiresAt).toEqual(principal.expiresAt)
    clock.advance(30_000)
    expect(await refusal(() => source({ target: stock, onBehalfOf: principal }))).toBe('ERR_PRINCIPAL_EXPIRED')
  })

  it('is never another caller’s, a hundred callers interleaved on one source', async () => {
    const callers = await Promise.all(
      Array.from({ length: 100 }, (_, at) => caller(`user-${at}`, at % 3 === 0 ? ['shop', 'orders'] : ['shop'])),
    )
    const calls = callers.flatMap((one, at) =>
      Array.from({ length: 6 }, (_, round) => ({ ...one, at, round, target: round % 2 === 0 ? orders : stock })),
    )
    calls.sort(() => Math.random() - 0.5)
    await Promise.all(
      calls.map(async ({ token, principal, at, round, target }) => {
        await new Promise((resolve) => setTimeout(resolve, round * 3))
        const sent = tokenOf(await source({ target, onBehalfOf: principal }))
        if (target === orders && at % 3 === 0) expect(sent).toBe(token)
        else expect(sent.startsWith(`user-${at}.${target === orders ? 'orders' : 'stock'}.`)).toBe(true)
      }),
    )
    // One for each caller and target, less those whose own token went on.
    expect(server.requests).toHaveLength(200 - 34)
  })

  it('is told apart by the inbound token, not only by who it is', async () => {
    const one = await caller('alice')
    const two = await caller('alice')
    expect(tokenOf(await source({ target: stock, onBehalfOf: one.principal }))).toBe('alice.stock.1')
    expect(tokenOf(await source({ target: stock, onBehalfOf: two.principal }))).toBe('alice.stock.2')
  })

  it('is told apart by who it is, not only by the inbound token, which two guards may read differently', async () => {
    const { token, principal } = await caller('alice', ['shop'], { client_id: 'web' })
    const byClient = jwt({
      issuer: 'https://sts.example',
      audience: 'shop',
      keys: { publicKey: keys.publicKey },
      subjectClaim: 'client_id',
      clock,
    })
    const web = await prove(guard({ authenticate: byClient, clock }), bearer(token))
    const first = tokenOf(await source({ target: orders, onBehalfOf: principal }))
    expect(tokenOf(await source({ target: orders, onBehalfOf: web }))).not.toBe(first)
    expect(tokenOf(await source({ target: orders, onBehalfOf: principal }))).toBe(first)
  })

  it('is exchanged anew once when the target refuses it', async () => {
    const { principal } = await caller('alice')
    const first = await source({ target: stock, onBehalfOf: principal })
    const second = await source({ target: stock, onBehalfOf: principal, refused: first.credential })
    expect(tokenOf(second)).toBe('alice.stock.2')
    expect(tokenOf(await source({ target: stock, onBehalfOf: principal, refused: first.credential }))).toBe('alice.stock.2')
    expect(await refusal(() => source({ target: stock, onBehalfOf: principal, refused: second.credential }))).toBe('ERR_SOURCE_EXHAUSTED')
  })

  it('is exchanged, never passed on, where it is bound to a key', async () => {
    const { principal } = await caller('alice', ['shop', 'orders'])
    const bound = vouchForPrincipal({
      issuer: 'https://sts.example',
      subject: 'alice',
      claims: principal.claims,
      confirmation: { jkt: 'a'.repeat(43) },
    })
    const proving = authenticator('bound', () => ({ proven: bound, possession: { jkt: 'a'.repeat(43) } }), [{ scheme: 'DPoP' }])
    const token = await issuer().issue({ subject: 'alice', audience: ['shop', 'orders'] })
    const found = await prove(guard({ authenticate: proving, clock }) as never, {
      kind: 'dpop',
      carrier: 'authorization',
      token: secret(token),
      proof: 'p',
    })
    expect(tokenOf(await source({ target: orders, onBehalfOf: found }))).toBe('alice.orders.1')
  })

  it('is exchanged where it is bound to a certificate, which we do not have', async () => {
    const token = await issuer().issue({ subject: 'alice', audience: ['shop', 'orders'], claims: { cnf: { 'x5t#S256': 'a'.repeat(43) } } })
    const certificate = { der: new Uint8Array(), thumbprint: 'a'.repeat(43), anchor: 'x', notAfter: new Date() }
    const channel = { from: 'peer', protocol: 'https', secure: true, certificate } as const
    const decision = await shop().decide({ credentials: [bearer(token)], action: 'GET', resource: '/', attributes: {}, channel })
    if (decision.outcome !== 'allow' || !isPrincipal(decision.principal)) throw new Error(decision.code)
    expect(tokenOf(await source({ target: orders, onBehalfOf: decision.principal }))).toBe('alice.orders.1')
  })

  it('is not shared by two targets, though they are known by one name', async () => {
    const { principal } = await caller('alice')
    expect(tokenOf(await source({ target: stock, onBehalfOf: principal }))).toBe('alice.stock.1')
    const depot = { origin: 'https://depot.example', secure: true }
    expect(tokenOf(await source({ target: depot, onBehalfOf: principal }))).toBe('alice.stock.2')
  })

  it('is the password only where the target is named for it, and nothing else goes there', async () => {
    const tom = await prove(shop(), basic)
    const supplied = await source({ target: legacy, onBehalfOf: tom })
    expect(supplied.credential).toEqual(basic)
    expect(await refusal(() => source({ target: legacy, onBehalfOf: tom, refused: basic }))).toBe('ERR_SOURCE_EXHAUSTED')
    expect(await refusal(() => source({ target: orders, onBehalfOf: tom }))).toBe('ERR_PROPAGATION_CREDENTIAL')
    const { principal } = await caller('alice', ['shop', 'orders'])
    expect(await refusal(() => source({ target: legacy, onBehalfOf: principal }))).toBe('ERR_PROPAGATION_CREDENTIAL')
    expect(server.requests).toHaveLength(0)
  })

  it('is that of the subject, whatever factors came along', async () => {
    const token = await issuer().issue({ subject: 'alice', audience: ['shop', 'orders'] })
    const both = await prove(guard({ authenticate: allOf(mechanism(), passwords), clock }), bearer(token), basic)
    expect(tokenOf(await source({ target: orders, onBehalfOf: both }))).toBe(token)
    expect(await refusal(() => source({ target: legacy, onBehalfOf: both }))).toBe('ERR_PROPAGATION_CREDENTIAL')
  })
})

describe('nothing is propagated', () => {
  it.each<[string, object, string]>([
    ['to another target', { target: { origin: 'https://evil.example', secure: true } }, 'ERR_SOURCE_TARGET'],
    ['over a plaintext channel', { target: { ...orders, secure: false } }, 'ERR_SOURCE_INSECURE'],
    ['over a connection that callers share', { target: { ...orders, shared: true } }, 'ERR_PROPAGATION_SHARED'],
    ['without a caller', { onBehalfOf: undefined }, 'ERR_CALLER_MISSING'],
    ['for nobody', { onBehalfOf: anonymous }, 'ERR_CALLER_MISSING'],
    ['for a caller that nobody vouched for', { onBehalfOf: { kind: 'principal', issuer: 'a', subject: 'b' } }, 'ERR_CALLER_MISSING'],
    ['for a caller that came another way', { onBehalfOf: vouchForPrincipal({ issuer: 'i', subject: 's' }) }, 'ERR_PROPAGATION_CREDENTIAL'],
  ])('%s', async (_what, change, code) => {
    const { principal } = await caller('alice', ['shop', 'orders'])
    expect(await refusal(() => source({ target: orders, onBehalfOf: principal, ...change } as never))).toBe(code)
    expect(server.requests).toHaveLength(0)
  })

  it('for a caller that was revoked', async () => {
    const revocation = new Revocation()
    const revocable = authenticator('revocable', () => vouchForPrincipal({ issuer: 'i', subject: 's', revocations: [revocation] }), [
      { scheme: 'Bearer' },
    ])
    const principal = await prove(guard({ authenticate: revocable, clock }) as never, bearer('t'))
    revocation.revoke('gone')
    expect(await refusal(() => source({ target: stock, onBehalfOf: principal }))).toBe('ERR_PRINCIPAL_REVOKED')
  })

  it('for a caller whose mechanism has no scheme, though a token lay beside', async () => {
    const principal = await prove(guard({ authenticate: keyed, clock }) as never, bearer('unproven'))
    expect(await refusal(() => source({ target: stock, onBehalfOf: principal }))).toBe('ERR_PROPAGATION_CREDENTIAL')
  })

  it('once the source is closed, and nothing was kept before it was made', async () => {
    const { principal } = await caller('alice', ['shop', 'orders'])
    source.close()
    expect(await refusal(() => source({ target: orders, onBehalfOf: principal }))).toBe('ERR_PROPAGATION_CREDENTIAL')
    const early = await caller('bob', ['shop', 'orders'])
    source = open()
    expect(await refusal(() => source({ target: orders, onBehalfOf: early.principal }))).toBe('ERR_PROPAGATION_CREDENTIAL')
  })

  it('by exchange where there is nobody to exchange', async () => {
    using passing = propagated({ to: { 'https://stock.example': { audience: 'stock' } }, clock })
    const { principal } = await caller('alice')
    expect(await refusal(() => passing({ target: stock, onBehalfOf: principal }))).toBe('ERR_PROPAGATION_CREDENTIAL')
  })

  it('while the server is down, refuses, or answers with something else', async () => {
    const { principal, token } = await caller('alice')
    const ask = () => refusal(() => source({ target: stock, onBehalfOf: principal }))
    server.answer = (_form, _request, response) => json(response, 400, { error: 'invalid_target' })
    expect(await ask()).toBe('ERR_OAUTH_REFUSED')
    server.answer = (_form, _request, response) =>
      json(response, 200, { access_token: token, token_type: 'bearer', issued_token_type: accessToken })
    expect(await ask()).toBe('ERR_OAUTH_TOKEN_TYPE')
    server.answer = (_form, _request, response) =>
      json(response, 200, { access_token: 'x', token_type: 'N_A', issued_token_type: accessToken })
    expect(await ask()).toBe('ERR_OAUTH_TOKEN_TYPE')
    await server.close()
    expect(await ask()).toBe('ERR_OAUTH_UNREACHABLE')
  })

  it.each<[string, object, string]>([
    ['no targets', { to: {} }, 'ERR_OPTION_INVALID'],
    ['targets of nobody', {}, 'ERR_OPTION_MISSING'],
    ['a target without audience', { to: { 'https://a.example': {} } }, 'ERR_OPTION_MISSING'],
    ['an empty audience', { to: { 'https://a.example': { audience: [] } } }, 'ERR_OPTION_INVALID'],
    ['a password target with an audience', { to: { 'https://a.example': { accepts: 'basic', audience: 'a' } } }, 'ERR_OPTION_UNKNOWN'],
    ['something else to accept', { to: { 'https://a.example': { accepts: 'all', audience: 'a' } } }, 'ERR_OPTION_INVALID'],
    ['a misspelt option', { to: { 'https://a.example': { audience: 'a' } }, exchanges: {} }, 'ERR_OPTION_UNKNOWN'],
  ])('with %s', (_what, options, code) => {
    expect(() => propagated(options as never)).toThrow(expect.objectContaining({ code }))
  })
})
