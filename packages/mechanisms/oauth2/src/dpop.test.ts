import { createHash, createPublicKey, generateKeyPairSync, randomUUID, sign, type KeyObject } from 'node:crypto'
import { anyOf, guard, secret, type AccessRequest, type Credential, type Decision, type Guard, type Supplied } from '@portcullis/core'
import { manualClock, type ManualClock } from '@portcullis/core/testing'
import { jwkThumbprint, publicJwk } from '@portcullis/crypto'
import { accessTokenJudge, createIssuer, createVerifier, jwt } from '@portcullis/jwt'
import { withoutExpiry, anyAudience } from '@portcullis/jwt/danger'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  authorizationServer,
  clientCredentials,
  clientSecretBasic,
  dpop,
  dpopNonces,
  dpopTokens,
  introspectionJudge,
  memoryReplayStore,
  type DpopTokensOptions,
} from './index.ts'
import { issuing, json, testServer, type TestServer } from './servers.test-support.ts'

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const issuerKey = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jkt = jwkThumbprint(pair.publicKey)
const binding = { method: 'GET', uri: 'https://orders.example/orders' }

let clock: ManualClock
beforeEach(() => {
  clock = manualClock()
})

function issuer() {
  return createIssuer({
    issuer: 'https://sts.example',
    audience: 'orders',
    subject: 'alice',
    key: { privateKey: issuerKey.privateKey },
    clock,
    expiresInSeconds: 3_600,
  })
}

function judge() {
  return accessTokenJudge({ issuer: 'https://sts.example', audience: 'orders', keys: { publicKey: issuerKey.publicKey }, clock })
}

function orders(options: Partial<DpopTokensOptions> = {}): Guard {
  return guard({ authenticate: dpopTokens({ tokens: judge(), ...options }), clock }) as Guard
}

function token(confirmation: Record<string, string> | undefined = { jkt }): Promise<string> {
  return issuer().issue({ claims: confirmation === undefined ? {} : { cnf: confirmation } })
}

interface ProofFacts {
  readonly key?: KeyObject
  readonly jwk?: unknown
  readonly header?: Record<string, unknown>
  readonly claims?: Record<string, unknown>
}

function proof(accessToken: string, { key = pair.privateKey, jwk, header, claims }: ProofFacts = {}): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ typ: 'dpop+jwt', alg: 'ES256', jwk: jwk ?? publicJwk(createPublicKey(key)), ...header })}.${part({
    jti: randomUUID(),
    htm: 'GET',
    htu: binding.uri,
    iat: clock.now() / 1000,
    ath: createHash('sha256').update(accessToken).digest('base64url'),
    ...claims,
  })}`
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

function request(accessToken: string, dpopProof: string, more: Partial<AccessRequest> = {}): AccessRequest {
  const credential: Credential = { kind: 'dpop', carrier: 'authorization', token: secret(accessToken), proof: dpopProof }
  return {
    credentials: [credential],
    action: 'GET',
    resource: '/orders',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true },
    binding,
    ...more,
  }
}

async function outcome(decision: Decision | Promise<Decision>): Promise<string> {
  const made = await decision
  return made.outcome === 'allow' ? 'allow' : `${made.reason} ${made.code}`
}

describe('DPoP-bound tokens', () => {
  it('are taken with a proof of their key, once', async () => {
    const secured = orders()
    const accessToken = await token()
    const once = proof(accessToken)
    const decision = await secured.decide(request(accessToken, once))
    expect(decision).toMatchObject({ outcome: 'allow', principal: { subject: 'alice', confirmation: { jkt } } })
    expect(await secured.decide(request(accessToken, once))).toMatchObject({
      reason: 'invalid',
      code: 'ERR_DPOP_PROOF_REPLAYED',
      advice: { error: 'invalid_dpop_proof' },
    })
    expect(await outcome(secured.decide(request(accessToken, proof(accessToken))))).toBe('allow')
  })

  it.each<[string, ProofFacts, string]>([
    ['another method', { claims: { htm: 'POST' } }, 'ERR_DPOP_PROOF_REQUEST'],
    ['a method in lower case', { claims: { htm: 'get' } }, 'ERR_DPOP_PROOF_REQUEST'],
    ['another host', { claims: { htu: 'https://evil.example/orders' } }, 'ERR_DPOP_PROOF_REQUEST'],
    ['another scheme', { claims: { htu: 'http://orders.example/orders' } }, 'ERR_DPOP_PROOF_REQUEST'],
    ['another port', { claims: { htu: 'https://orders.example:8443/orders' } }, 'ERR_DPOP_PROOF_REQUEST'],
    ['another path', { claims: { htu: 'https://orders.example/orders/1' } }, 'ERR_DPOP_PROOF_REQUEST'],
    ['a user in the address', { claims: { htu: 'https://a@orders.example/orders' } }, 'ERR_DPOP_PROOF_REQUEST'],
    ['no address', { claims: { htu: undefined } }, 'ERR_DPOP_PROOF_REQUEST'],
    ['an address that is none', { claims: { htu: '/orders' } }, 'ERR_DPOP_PROOF_REQUEST'],
    ['another token', { claims: { ath: createHash('sha256').update('x').digest('base64url') } }, 'ERR_DPOP_PROOF_TOKEN'],
    ['no token', { claims: { ath: undefined } }, 'ERR_DPOP_PROOF_TOKEN'],
    ['an old time', { claims: { iat: Date.UTC(2026, 0, 1) / 1000 - 61 } }, 'ERR_DPOP_PROOF_TIME'],
    ['a future time', { claims: { iat: Date.UTC(2026, 0, 1) / 1000 + 6 } }, 'ERR_DPOP_PROOF_TIME'],
    ['a time as text', { claims: { iat: '1767225600' } }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['no identifier', { claims: { jti: undefined } }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['an empty identifier', { claims: { jti: '' } }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['an endless identifier', { claims: { jti: 'a'.repeat(257) } }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['another type', { header: { typ: 'JWT' } }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['no type', { header: { typ: undefined } }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['a critical extension', { header: { crit: ['b64'] } }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['no signature algorithm', { header: { alg: 'none' } }, 'ERR_DPOP_PROOF_ALGORITHM'],
    ['a secret’s algorithm', { header: { alg: 'HS256' } }, 'ERR_DPOP_PROOF_ALGORITHM'],
    ['an algorithm of another key', { header: { alg: 'RS256' } }, 'ERR_DPOP_PROOF_ALGORITHM'],
    ['an algorithm called like a property', { header: { alg: '__proto__' } }, 'ERR_DPOP_PROOF_ALGORITHM'],
    ['a secret as key', { jwk: { kty: 'oct', k: 'c2VjcmV0' } }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['a private key', { jwk: pair.privateKey.export({ format: 'jwk' }) }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['no key', { header: { jwk: undefined } }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['a key of nobody', { jwk: { kty: 'EC', crv: 'P-256', x: 'AA', y: 'AA' } }, 'ERR_DPOP_PROOF_MALFORMED'],
    ['the key of another signature', { key: other.privateKey, jwk: publicJwk(pair.publicKey) }, 'ERR_DPOP_PROOF_SIGNATURE'],
    ['a key of its own', { key: other.privateKey }, 'ERR_DPOP_KEY'],
  ])('are refused with a proof that has %s', async (_what, facts, code) => {
    const accessToken = await token()
    expect(await outcome(orders().decide(request(accessToken, proof(accessToken, facts))))).toBe(`invalid ${code}`)
  })

  it.each(['', '.', 'a.b', 'a.b.c', 'é.é.é', 'a'.repeat(20_000)])('are refused with %j as proof', async (text) => {
    expect(await outcome(orders().decide(request(await token(), text)))).toBe('invalid ERR_DPOP_PROOF_MALFORMED')
  })

  it('are refused where the token is bound to nothing, to another key, or only to a certificate', async () => {
    const secured = orders()
    for (const confirmation of [undefined, { jkt: jwkThumbprint(other.publicKey) }, { 'x5t#S256': jkt }]) {
      const accessToken = await issuer().issue({ claims: confirmation === undefined ? {} : { cnf: confirmation } })
      expect(await outcome(secured.decide(request(accessToken, proof(accessToken))))).toBe('invalid ERR_DPOP_KEY')
    }
    const both = await token({ jkt, 'x5t#S256': jkt })
    expect(await outcome(secured.decide(request(both, proof(both))))).toBe('invalid ERR_CONFIRMATION_UNMET')
  })

  it('are refused for what is wrong with the token itself', async () => {
    const secured = orders()
    const expired = await token()
    clock.advance(3_600_000)
    expect(await outcome(secured.decide(request(expired, proof(expired))))).toBe('invalid ERR_JWT_EXPIRED')
    expect(await outcome(secured.decide(request('opaque', proof('opaque'))))).toBe('missing ERR_CREDENTIAL_MISSING')
  })

  it('never pass as plain bearer tokens, and plain bearer tokens never as these', async () => {
    const accessToken = await token()
    const bearer: Credential = { kind: 'bearer', carrier: 'authorization', token: secret(accessToken) }
    const either = guard({
      authenticate: anyOf(
        dpopTokens({ tokens: judge() }),
        jwt({ issuer: 'https://sts.example', audience: 'orders', keys: { publicKey: issuerKey.publicKey }, clock }),
      ),
      clock,
    })
    const plain = { ...request('', ''), credentials: [bearer] }
    expect(await outcome(either.decide(plain))).toBe('invalid ERR_JWT_PROOF_MISSING')
    expect(await outcome(orders().decide(plain))).toBe('missing ERR_CREDENTIAL_MISSING')
    expect(await outcome(either.decide(request(accessToken, proof(accessToken))))).toBe('allow')
  })

  it('match the address as the listener saw it, in whatever spelling', async () => {
    const secured = orders()
    const accessToken = await token()
    for (const htu of [
      'HTTPS://Orders.Example:443/orders',
      'https://orders.example/orders?a=b#c',
      'https://orders.example/%6frders',
      'https://orders.example/x/../orders',
    ])
      expect(await outcome(secured.decide(request(accessToken, proof(accessToken, { claims: { htu } }))))).toBe('allow')
  })

  it('are no matter of guesses where the listener describes no binding', async () => {
    const accessToken = await token()
    const { binding: _, ...unbound } = request(accessToken, proof(accessToken))
    expect(await outcome(orders().decide(unbound))).toBe('internal ERR_INTERNAL')
  })

  it('count again when the proof is out of its time, not before', async () => {
    const secured = orders()
    const accessToken = await token()
    const once = proof(accessToken)
    expect(await outcome(secured.decide(request(accessToken, once)))).toBe('allow')
    clock.advance(60_000)
    expect(await outcome(secured.decide(request(accessToken, once)))).toBe('invalid ERR_DPOP_PROOF_REPLAYED')
    clock.advance(1)
    expect(await outcome(secured.decide(request(accessToken, once)))).toBe('invalid ERR_DPOP_PROOF_TIME')
  })

  it('let one of many at the same moment through', async () => {
    const secured = orders()
    const accessToken = await token()
    const once = proof(accessToken)
    const outcomes = await Promise.all(Array.from({ length: 50 }, () => outcome(secured.decide(request(accessToken, once)))))
    expect(outcomes.filter((one) => one === 'allow')).toHaveLength(1)
  })

  it('are overload where no more proofs can be remembered, and junk takes up no room', async () => {
    const secured = orders({ replays: memoryReplayStore({ maxEntries: 2 }) })
    const accessToken = await token()
    for (let junk = 0; junk < 10; junk++) await secured.decide(request(accessToken, proof(accessToken, { key: other.privateKey })))
    const first = proof(accessToken)
    expect(await outcome(secured.decide(request(accessToken, first)))).toBe('allow')
    expect(await outcome(secured.decide(request(accessToken, proof(accessToken))))).toBe('allow')
    expect(await outcome(secured.decide(request(accessToken, proof(accessToken))))).toBe('overload ERR_DPOP_REPLAYS_FULL')
    expect(await outcome(secured.decide(request(accessToken, first)))).toBe('invalid ERR_DPOP_PROOF_REPLAYED')
    clock.advance(60_001)
    expect(await outcome(secured.decide(request(accessToken, proof(accessToken))))).toBe('allow')
  })

  it('are refused by a store that answers anything but true', async () => {
    const accessToken = await token()
    const odd = { putIfAbsent: () => 'OK' } as never
    expect(await outcome(orders({ replays: odd }).decide(request(accessToken, proof(accessToken))))).toBe('invalid ERR_DPOP_PROOF_REPLAYED')
  })

  it('carry a nonce where one is asked for, and get the next one in time', async () => {
    const secured = orders({ nonces: dpopNonces({ lifetimeSeconds: 100 }) })
    const accessToken = await token()
    const asked = await secured.decide(request(accessToken, proof(accessToken)))
    expect(asked).toMatchObject({ reason: 'invalid', code: 'ERR_DPOP_NONCE', advice: { error: 'use_dpop_nonce' } })
    const nonce = asked.advice?.nonce
    expect(nonce).toMatch(/^[\w-]{30}$/)
    const given = await secured.decide(request(accessToken, proof(accessToken, { claims: { nonce } })))
    expect(given).toMatchObject({ outcome: 'allow', advice: undefined })
    clock.advance(100_000)
    const next = await secured.decide(request(accessToken, proof(accessToken, { claims: { nonce } })))
    expect(next.outcome).toBe('allow')
    expect(next.advice?.nonce).toMatch(/^[\w-]{30}$/)
    expect(next.advice?.nonce).not.toBe(nonce)
    clock.advance(100_000)
    expect(await outcome(secured.decide(request(accessToken, proof(accessToken, { claims: { nonce } }))))).toBe('invalid ERR_DPOP_NONCE')
    for (const wrong of ['', 7, 'A'.repeat(30)])
      expect(await outcome(secured.decide(request(accessToken, proof(accessToken, { claims: { nonce: wrong } }))))).toBe(
        'invalid ERR_DPOP_NONCE',
      )
  })

  it('know the nonces of another instance by a shared secret only', () => {
    const shared = { secret: 's'.repeat(32) }
    const nonce = dpopNonces(shared).current(clock.now())
    expect(dpopNonces(shared).accepts(nonce, clock.now())).toBe(true)
    expect(dpopNonces().accepts(nonce, clock.now())).toBe(false)
    expect(() => dpopNonces({ secret: 'short' })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })

  it('are challenged for with the algorithms', () => {
    expect(orders({ algorithms: ['ES256', 'EdDSA'], realm: 'orders' }).offers).toEqual([
      { scheme: 'DPoP', parameters: { realm: 'orders', algs: 'ES256 EdDSA' } },
    ])
  })

  it.each<[string, object]>([
    ['an age of nothing', { maxAgeSeconds: 0 }],
    ['an age of NaN', { maxAgeSeconds: Number.NaN }],
    ['an algorithm of secrets', { algorithms: ['HS256'] }],
    ['no algorithms', { algorithms: [] }],
    ['a store that is none', { replays: undefined }],
    ['nonces that are none', { nonces: undefined }],
    ['no judge', { tokens: 'yes' }],
  ])('cannot be set up with %s', (_what, options) => {
    expect(() => orders(options)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })
})

describe('a source whose tokens are bound to a key', () => {
  let tls: DevelopmentTls
  let server: TestServer
  beforeAll(async () => {
    tls = await developmentTls()
  })
  beforeEach(async () => {
    server = await testServer(tls, issuing({ token_type: 'DPoP' }))
  })
  afterEach(() => server.close())

  const target = { origin: 'https://orders.example', secure: true }
  const plain = () =>
    clientCredentials({
      server: authorizationServer({
        issuer: server.url,
        endpoints: { token: `${server.url}/token` },
        tls: tls.client,
        clock,
        random: () => 0,
      }),
      client: clientSecretBasic({ clientId: 'shop', clientSecret: 'shhh' }),
      targets: ['https://orders.example'],
    })
  const bound = () => dpop(plain(), { key: pair.privateKey, clock })
  function parts(supplied: Supplied): { token: string; proof: string; claims: Record<string, unknown> } {
    const { credential } = supplied
    if (credential.kind !== 'dpop') throw new Error(credential.kind)
    const claims = JSON.parse(Buffer.from(credential.proof.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
    return { token: credential.token.reveal(), proof: credential.proof, claims }
  }

  it('shows the key to the token endpoint, and makes a proof for each request', async () => {
    const source = bound()
    const first = parts(await source({ target, binding }))
    const second = parts(await source({ target, binding: { method: 'POST', uri: 'https://orders.example/orders/1' } }))
    expect(server.requests).toHaveLength(1)
    const shown = String(server.requests[0]?.headers['dpop'])
    const [header, claims] = shown
      .split('.')
      .slice(0, 2)
      .map((part) => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>)
    expect(header).toMatchObject({ typ: 'dpop+jwt', alg: 'ES256', jwk: publicJwk(pair.publicKey) })
    expect(claims).toMatchObject({ htm: 'POST', htu: `${server.url}/token` })
    expect(claims).not.toHaveProperty('ath')
    expect(second.token).toBe(first.token)
    expect(second.claims).toMatchObject({
      htm: 'POST',
      htu: 'https://orders.example/orders/1',
      ath: createHash('sha256').update(first.token).digest('base64url'),
    })
    expect(second.claims['jti']).not.toBe(first.claims['jti'])
    const verified = await createVerifier({
      issuer: 'x',
      audience: anyAudience,
      expiry: withoutExpiry,
      typ: 'dpop+jwt',
      keys: { publicKey: pair.publicKey },
      clock,
    }).verify(first.proof)
    // It has no issuer, which is what it must fail by, and not by its form.
    expect(verified).toMatchObject({ refused: 'ERR_JWT_CLAIM_MISSING', cause: 'iss' })
  })

  it('takes the nonce of the token endpoint, and that of the target, without another token', async () => {
    const answer = issuing({ token_type: 'DPoP' })
    server.answer = (form, incoming, response) => {
      const [, payload = ''] = String(incoming.headers['dpop']).split('.')
      const { nonce } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { nonce?: string }
      response.setHeader('dpop-nonce', 'of-the-server')
      if (nonce === 'of-the-server') answer(form, incoming, response)
      else json(response, 400, { error: 'use_dpop_nonce' })
    }
    const source = bound()
    const first = await source({ target, binding })
    expect(server.requests).toHaveLength(2)
    expect(parts(first).claims).not.toHaveProperty('nonce')
    const second = await source({ target, binding, refused: first.credential, nonce: 'of-the-target' })
    expect(parts(second)).toMatchObject({ token: parts(first).token, claims: { nonce: 'of-the-target' } })
    expect(parts(await source({ target, binding })).claims).toMatchObject({ nonce: 'of-the-target' })
    expect(server.requests).toHaveLength(2)
    const third = await source({ target, binding, refused: second.credential, nonce: 'of-the-target' })
    expect(parts(third).token).not.toBe(parts(first).token)
  })

  it('asks once where the token endpoint refuses for another reason than the nonce', async () => {
    server.answer = (_form, _request, response) => json(response, 400, { error: 'invalid_client' })
    await expect(bound()({ target, binding })).rejects.toMatchObject({ code: 'ERR_OAUTH_REFUSED', error: 'invalid_client' })
    expect(server.requests).toHaveLength(1)
  })

  it('takes no token that the server did not bind', async () => {
    server.answer = issuing({ token_type: 'Bearer' })
    await expect(bound()({ target, binding })).rejects.toMatchObject({ code: 'ERR_OAUTH_TOKEN_TYPE' })
  })

  it('is taken by the guard, and its tokens stolen are worth nothing', async () => {
    server.answer = (_form, incoming, response) => {
      if (incoming.url === '/token') json(response, 200, { access_token: 'opaque', token_type: 'DPoP' })
      else json(response, 200, { active: true, iss: server.url, aud: 'orders', sub: 'shop', cnf: { jkt } })
    }
    const as = authorizationServer({ issuer: server.url, endpoints: { introspection: `${server.url}/introspect` }, tls: tls.client, clock })
    const tokens = introspectionJudge({ server: as, client: clientSecretBasic({ clientId: 'a', clientSecret: 'b' }), audience: 'orders' })
    const secured = orders({ tokens })
    const { token: opaque, proof: good } = parts(await bound()({ target, binding }))
    expect(await outcome(secured.decide(request(opaque, good)))).toBe('allow')
    const thief = dpop(plain(), { key: other.privateKey, clock })
    expect(await outcome(secured.decide(request(opaque, parts(await thief({ target, binding })).proof)))).toBe('invalid ERR_DPOP_KEY')
  })

  it('has a key of its own where none is given, and no other source can be bound', async () => {
    expect(parts(await dpop(plain(), { clock })({ target, binding })).proof).toMatch(/^[\w.-]+$/)
    expect(() => dpop((() => undefined) as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })
})
