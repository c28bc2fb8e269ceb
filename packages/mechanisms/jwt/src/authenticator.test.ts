import { anyOf, guard, scope, type AccessRequest, type Decision } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { accessTokenJudge, jwt, type JwtOptions } from './authenticator.ts'
import { audience, b64, bearer, channel, forge, goodClaims, issuer, newClock, requestWith, rsa, start } from './fixtures.test-support.ts'

const header = { alg: 'RS256' }
const row = { issuer, audience, keys: { publicKey: rsa.publicKey } } as const
const token = (claims: Readonly<Record<string, unknown>> = {}): string => forge(header, goodClaims(claims), rsa.privateKey)
const thumbprint = 'A'.repeat(43)

async function decide(request: AccessRequest, options: Partial<JwtOptions> = {}, clock = newClock()): Promise<Decision> {
  return guard({ authenticate: jwt({ ...row, clock, ...options } as JwtOptions), clock }).decide(request)
}

async function principalOf(claims: Readonly<Record<string, unknown>>, options: Partial<JwtOptions> = {}) {
  const decision = await decide(requestWith(bearer(token(claims))), options)
  if (decision.outcome !== 'allow' || decision.principal.kind !== 'principal') throw new Error(`${decision.code}`)
  return decision.principal
}

async function codeOf(claims: Readonly<Record<string, unknown>>, options: Partial<JwtOptions> = {}): Promise<string | undefined> {
  return (await decide(requestWith(bearer(token(claims))), options)).code
}

describe('the principal', () => {
  it('is the subject of the issuer, until the token expires', async () => {
    const principal = await principalOf({ scope: 'read  write' })
    expect(principal).toMatchObject({ issuer, subject: 'ada', confirmation: undefined, actor: undefined, authenticatedAt: undefined })
    expect([...principal.scopes]).toEqual(['read', 'write'])
    expect(principal.expiresAt).toEqual(new Date((start + 300) * 1000))
    expect(principal.claims).toMatchObject({ aud: audience })
    expect(Object.isFrozen(principal.claims)).toBe(true)
  })

  it('lives as long as the clock tolerance lets its token be accepted', async () => {
    expect((await principalOf({ exp: start - 10 }, { clockToleranceSeconds: 60 })).expiresAtMs).toBe((start + 50) * 1000)
  })

  it.each([
    [
      ['a b', 'c'],
      ['a b', 'c'],
    ],
    [[], []],
    ['', []],
    [undefined, []],
  ])('takes scopes as text or list: %j', async (claim, expected) => {
    expect([...(await principalOf({ scp: claim, scope: 'x' }, { scopeClaim: 'scp' })).scopes]).toEqual(expected)
  })

  it.each([7, null, {}, ['a', 7], [['a']]])('is refused for scopes like %j', async (claim) => {
    expect(await codeOf({ scope: claim })).toBe('ERR_JWT_CLAIM_INVALID')
  })

  it('needs a subject, under the name that is configured', async () => {
    expect(await codeOf({ sub: undefined })).toBe('ERR_JWT_CLAIM_MISSING')
    expect(await codeOf({ sub: '' })).toBe('ERR_JWT_CLAIM_INVALID')
    expect(await codeOf({ client_id: 7 }, { subjectClaim: 'client_id' })).toBe('ERR_JWT_CLAIM_INVALID')
    expect((await principalOf({ sub: undefined, client_id: 'web' }, { subjectClaim: 'client_id' })).subject).toBe('web')
  })

  it('has the actors of the token, the latest outermost', async () => {
    const { actor } = await principalOf({ act: { sub: 'gateway', act: { sub: 'portal', iss: 'https://portal.example' } } })
    expect(actor).toMatchObject({ issuer, subject: 'gateway', actor: { issuer: 'https://portal.example', subject: 'portal' } })
    expect(actor?.scopes.size).toBe(0)
    for (const act of ['gateway', null, [], {}, { sub: '' }, { sub: 'x', iss: 7 }, { sub: 'x', act: {} }])
      expect(await codeOf({ act })).toBe('ERR_JWT_CLAIM_INVALID')
  })

  it('knows when the peer authenticated', async () => {
    expect((await principalOf({ auth_time: start - 60 })).authenticatedAt).toEqual(new Date((start - 60) * 1000))
    expect(await codeOf({ auth_time: 'yesterday' })).toBe('ERR_JWT_CLAIM_INVALID')
  })
})

describe('a token that is bound to a key', () => {
  it('is no plain bearer token', async () => {
    expect(await codeOf({ cnf: { jkt: thumbprint } })).toBe('ERR_JWT_PROOF_MISSING')
    expect(await codeOf({ cnf: { jkt: thumbprint, 'x5t#S256': thumbprint } })).toBe('ERR_JWT_PROOF_MISSING')
  })

  it('is no plain bearer token when it comes again, or from memory', async () => {
    const clock = newClock()
    const orders = guard({ authenticate: jwt({ ...row, clock }), clock })
    const credential = bearer(token({ cnf: { jkt: thumbprint } }))
    for (let time = 0; time < 3; time++)
      expect(await orders.decide(requestWith(credential))).toMatchObject({ code: 'ERR_JWT_PROOF_MISSING' })
    expect(await orders.decide(requestWith(bearer(credential.token.reveal())))).toMatchObject({ code: 'ERR_JWT_PROOF_MISSING' })
  })

  it('stays bound, acted for and who it is, where a schema leaves nothing of that', async () => {
    const schema = { '~standard': { version: 1, vendor: 'test', validate: () => ({ value: { tenant: 'blue' } }) } } as const
    expect(await codeOf({ cnf: { jkt: thumbprint } }, { schema })).toBe('ERR_JWT_PROOF_MISSING')
    expect(await codeOf({ cnf: { 'x5t#S256': thumbprint } }, { schema })).not.toBe(undefined)
    expect(await codeOf({ cnf: { jwk: {} } }, { schema })).toBe('ERR_JWT_CONFIRMATION_UNSUPPORTED')
    const principal = await principalOf({ scope: 'read', act: { sub: 'gateway' }, auth_time: start }, { schema })
    expect(principal).toMatchObject({ subject: 'ada', actor: { subject: 'gateway' }, authenticatedAt: new Date(start * 1000) })
    expect([...principal.scopes]).toEqual(['read'])
    expect(principal.claims).toEqual({ tenant: 'blue' })
  })

  it('passes only over the channel whose certificate it names', async () => {
    const clock = newClock()
    const orders = guard({ authenticate: jwt({ ...row, clock }), clock })
    const credential = bearer(token({ cnf: { 'x5t#S256': thumbprint } }))
    const over = (certificate: string): AccessRequest => ({
      ...requestWith(credential),
      channel: {
        ...channel,
        certificate: { der: new Uint8Array(), thumbprint: certificate, anchor: thumbprint, notAfter: new Date(8e15) },
      },
    })
    expect(await orders.decide(requestWith(credential))).toMatchObject({ code: 'ERR_CONFIRMATION_UNMET' })
    expect(await orders.decide(over(thumbprint))).toMatchObject({ outcome: 'allow' })
    expect(await orders.decide(over('B'.repeat(43)))).toMatchObject({ code: 'ERR_CONFIRMATION_UNMET' })
    expect(await orders.decide(requestWith(credential))).toMatchObject({ code: 'ERR_CONFIRMATION_UNMET' })
  })

  it.each([
    {},
    [],
    'x',
    null,
    7,
    { jkt: '' },
    { jkt: 7 },
    { jkt: `${thumbprint}A` },
    { jwk: {} },
    { jkt: thumbprint, kid: 'x' },
    { __proto__: null, jku: 'https://evil.example' },
  ])('is refused where the binding is %j', async (cnf) => {
    expect(await codeOf({ cnf })).toBe('ERR_JWT_CONFIRMATION_UNSUPPORTED')
  })

  it('is judged by mechanisms that prove the key themselves', async () => {
    const judge = accessTokenJudge({ ...row, clock: newClock() })
    const credential = {
      kind: 'dpop',
      carrier: 'authorization',
      token: bearer(token({ cnf: { jkt: thumbprint } })).token,
      proof: '',
    } as const
    expect(await judge(credential)).toMatchObject({ confirmation: { jkt: thumbprint } })
  })
})

describe('what is presented', () => {
  it('is not ours without a bearer token, or with one of another shape', async () => {
    for (const text of ['', 'opaque', 'a.b.c', 'v2.local.x', 'eyJ.b', `${b64('{}')}.a.b.c.d`, ' eyJhbGciOiJSUzI1NiJ9.e30.x']) {
      expect(await decide(requestWith(bearer(text)))).toMatchObject({ outcome: 'challenge', reason: 'missing' })
    }
    expect(await decide(requestWith())).toMatchObject({ reason: 'missing' })
    expect(await decide(requestWith({ kind: 'dpop', carrier: 'authorization', token: bearer(token()).token, proof: 'x' }))).toMatchObject({
      reason: 'missing',
    })
  })

  it('is refused if it is a token, and not a good one', async () => {
    expect(await decide(requestWith(bearer('eyJ.e30.')))).toMatchObject({
      outcome: 'challenge',
      reason: 'malformed',
      code: 'ERR_JWT_BASE64URL',
    })
    expect(await decide(requestWith(bearer(token({ exp: start }))))).toMatchObject({ reason: 'invalid', code: 'ERR_JWT_EXPIRED' })
    expect(await decide(requestWith(bearer(token({ iss: 'https://evil.example' }))))).toMatchObject({
      reason: 'invalid',
      code: 'ERR_JWT_ISSUER_UNKNOWN',
    })
  })

  it('is challenged by the Bearer scheme with the realm that was given', async () => {
    expect(await decide(requestWith())).toMatchObject({ offers: [{ scheme: 'Bearer' }] })
    const options = { realm: 'orders', resourceMetadata: 'https://orders.example/.well-known/oauth-protected-resource' }
    expect(await decide(requestWith(), options)).toMatchObject({
      offers: [{ scheme: 'Bearer', parameters: { realm: 'orders', resource_metadata: options.resourceMetadata } }],
    })
    expect(() => jwt({ ...row, realm: '' })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => jwt({ ...row, audiance: 'x' } as never)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
  })

  it('meets the scopes of the guard', async () => {
    const clock = newClock()
    const orders = guard({ authenticate: jwt({ ...row, clock }), authorize: anyOf(scope('read'), scope('admin')), clock })
    expect(await orders.decide(requestWith(bearer(token({ scope: 'read' }))))).toMatchObject({ outcome: 'allow' })
    expect(await orders.decide(requestWith(bearer(token({ scope: 'reads admin2' }))))).toMatchObject({
      outcome: 'forbid',
      reason: 'insufficientScope',
    })
  })
})
