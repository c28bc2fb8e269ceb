import { AuthSession, guard } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { jwt } from './authenticator.ts'
import { denyList, type Denial } from './deny-list.ts'
import { audience, bearer, ed25519, forge, goodClaims, issuer, newClock, requestWith, start } from './fixtures.test-support.ts'

function setUp(options: { readonly maxEntries?: number } = {}) {
  const clock = newClock()
  const list = denyList({ clock, ...options })
  const orders = guard({ authenticate: jwt({ issuer, audience, keys: { publicKey: ed25519.publicKey }, revocations: list, clock }), clock })
  const credential = (claims: Readonly<Record<string, unknown>> = {}) =>
    bearer(forge({ alg: 'EdDSA' }, goodClaims({ jti: 'one', sid: 'session', ...claims }), ed25519.privateKey))
  const decide = async (one: ReturnType<typeof credential>): Promise<string> => {
    const decision = await orders.decide(requestWith(one))
    return decision.outcome === 'allow' ? 'allow' : decision.code
  }
  const open = async (one: ReturnType<typeof credential>) => {
    const decision = await orders.decide(requestWith(one))
    if (decision.outcome !== 'allow') throw new Error(decision.code)
    const ended: string[] = []
    const session = new AuthSession({
      guard: orders,
      principal: decision.principal,
      action: requestWith(),
      protocol: 'wss',
      onEnd: (reason) => ended.push(reason),
    })
    return { session, ended }
  }
  return { clock, list, credential, decide, open }
}

const until = new Date((start + 3_600) * 1000)

describe('a deny list', () => {
  it.each<[string, Denial, Readonly<Record<string, unknown>>]>([
    ['one token', { issuer, jwtId: 'one', until }, { jti: 'two' }],
    ['the tokens of a session', { issuer, sessionId: 'session', until }, { sid: 'other' }],
    ['the tokens of a subject', { issuer, subject: 'ada', until }, { sub: 'bob' }],
  ])('refuses %s, remembered or new, and ends what lives; others go on', async (_, denial, otherClaims) => {
    const { list, credential, decide, open } = setUp()
    const [known, other] = [credential(), credential(otherClaims)]
    const [denied, untouched] = [await open(known), await open(other)]
    list.deny(denial)
    expect(denied.ended).toEqual(['revoked'])
    expect(await decide(known)).toBe('ERR_JWT_REVOKED')
    expect(await decide(bearer(known.token.reveal()))).toBe('ERR_JWT_REVOKED')
    expect(await decide(credential({ nonce: 'new' }))).toBe('ERR_JWT_REVOKED')
    expect(untouched.ended).toEqual([])
    expect(await decide(other)).toBe('allow')
    expect(await decide(credential({ ...otherClaims, nonce: 'new' }))).toBe('allow')
  })

  it('lets a subject come back with a token that was issued later', async () => {
    const { clock, list, credential, decide } = setUp()
    list.deny({ issuer, subject: 'ada', until })
    expect(await decide(credential({ iat: undefined }))).toBe('ERR_JWT_REVOKED')
    expect(await decide(credential({ iat: start }))).toBe('ERR_JWT_REVOKED')
    expect(await decide(credential({ iat: start + 1 }))).toBe('allow')
    clock.advance(10_000)
    list.deny({ issuer, subject: 'ada', issuedBefore: new Date(start * 1000), until })
    expect(await decide(credential({ iat: start + 1, x: 1 }))).toBe('allow')
  })

  it('ends only the sessions of a subject whose tokens are older', async () => {
    const { list, credential, open } = setUp()
    const [old, fresh] = [await open(credential({ iat: start - 10 })), await open(credential({ iat: start - 1 }))]
    list.deny({ issuer, subject: 'ada', issuedBefore: new Date((start - 5) * 1000), until })
    expect(old.ended).toEqual(['revoked'])
    expect(fresh.ended).toEqual([])
  })

  it('never takes back a part of what it was told', async () => {
    const { list, credential, decide } = setUp()
    list.deny({ issuer, subject: 'ada', until })
    list.deny({ issuer, subject: 'ada', issuedBefore: new Date(0), until: new Date(0) })
    expect(await decide(credential())).toBe('ERR_JWT_REVOKED')
  })

  it('does not mix issuers, nor names with lengths of others', async () => {
    const { list, credential, decide } = setUp()
    list.deny({ issuer: 'https://other.example', subject: 'ada', until })
    list.deny({ issuer: `${issuer}a`, subject: 'da', until })
    list.deny({ issuer: issuer.slice(0, -1), subject: 'eada', until })
    expect(await decide(credential())).toBe('allow')
  })

  it('forgets when the tokens have expired, the greatest clock tolerance later', async () => {
    const { clock, list, credential, decide } = setUp()
    list.deny({ issuer, subject: 'ada', until: new Date((start + 60) * 1000) })
    clock.advance(359_999)
    expect(await decide(credential({ iat: start, exp: start + 9_999 }))).toBe('ERR_JWT_REVOKED')
    clock.advance(1)
    expect(await decide(credential({ iat: start, exp: start + 9_999 }))).toBe('allow')
  })

  it('is bounded, says so, and forgets nothing to make room', async () => {
    const { clock, list, credential, decide, open } = setUp({ maxEntries: 2 })
    list.deny({ issuer, jwtId: 'a', until: new Date((start + 1) * 1000) })
    list.deny({ issuer, jwtId: 'b', until })
    const { ended } = await open(credential())
    expect(() => list.deny({ issuer, jwtId: 'one', until })).toThrow(
      expect.objectContaining({ code: 'ERR_JWT_DENY_LIST_FULL', family: 'unavailable' }),
    )
    expect(ended).toEqual(['revoked'])
    list.deny({ issuer, jwtId: 'b', until })
    expect(list.size).toBe(2)
    expect(await decide(credential({ jti: 'b' }))).toBe('ERR_JWT_REVOKED')
    clock.advance(301_000)
    list.deny({ issuer, jwtId: 'one', until })
    expect(list.size).toBe(2)
  })

  it.each([
    { issuer, until },
    { issuer, until, jwtId: '' },
    { issuer: '', until, jwtId: 'a' },
    { issuer, until, jwtId: 'a', subject: 'b' },
    { issuer, jwtId: 'a' },
    { issuer, jwtId: 'a', until: new Date(Number.NaN) },
    { issuer, jwtId: 'a', until, untill: until },
  ])('refuses %j', (denial) => {
    expect(() => denyList().deny(denial as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
  })
})
