import { guard, Revocation } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { jwt, type JwtOptions } from './authenticator.ts'
import type { JwtClaims } from './claims.ts'
import { audience, bearer, ed25519, forge, goodClaims, issuer, newClock, otherRsa, requestWith, rsa } from './fixtures.test-support.ts'
import { keySet, VerificationKey } from './keys.ts'
import { TokenCache, type Acceptance } from './token-cache.ts'
import { createVerifier } from './verify.ts'

const row = { issuer, audience, keys: { publicKey: rsa.publicKey } } as const
const header = { alg: 'RS256' }
const token = (claims: Readonly<Record<string, unknown>> = {}): string => forge(header, goodClaims(claims), rsa.privateKey)
const tokenCache = { maxEntries: 10 }

/** A guard, and a verdict as a text; `isSync` tells a hit from a miss, whose signature is verified on a thread. */
function setUp(options: Partial<JwtOptions> = {}) {
  const clock = newClock()
  const orders = guard({ authenticate: jwt({ ...row, clock, ...options } as JwtOptions), clock })
  const decide = async (credential: ReturnType<typeof bearer>): Promise<string> => {
    const decision = await orders.decide(requestWith(credential))
    return decision.outcome === 'allow' ? 'allow' : decision.code
  }
  const isSync = (credential: ReturnType<typeof bearer>): boolean => !(orders.decide(requestWith(credential)) instanceof Promise)
  return { clock, orders, decide, isSync }
}

describe('a token that was accepted', () => {
  it('is accepted again at once, by its text or as the same credential, with the same principal', async () => {
    const { orders, decide, isSync } = setUp()
    const credential = bearer(token())
    const copy = (): ReturnType<typeof bearer> => bearer(credential.token.reveal())
    expect(isSync(credential)).toBe(false)
    expect(await decide(credential)).toBe('allow')
    expect(isSync(credential)).toBe(true)
    expect(isSync(copy())).toBe(true)
    const [one, two] = [await orders.decide(requestWith(credential)), await orders.decide(requestWith(copy()))]
    expect(one.outcome === 'allow' && two.outcome === 'allow' && one.principal === two.principal).toBe(true)
  })

  it('is refused from its last second on', async () => {
    const { clock, decide } = setUp()
    const credential = bearer(token())
    expect(await decide(credential)).toBe('allow')
    clock.advance(299_999)
    expect(await decide(credential)).toBe('allow')
    clock.advance(1)
    expect(await decide(credential)).toBe('ERR_JWT_EXPIRED')
    expect(await decide(bearer(credential.token.reveal()))).toBe('ERR_JWT_EXPIRED')
  })

  it('lives no longer for having no iat', async () => {
    const { clock, decide } = setUp()
    const credential = bearer(token({ iat: undefined }))
    expect(await decide(credential)).toBe('allow')
    clock.advance(300_000)
    expect(await decide(credential)).toBe('ERR_JWT_EXPIRED')
  })

  it('is refused before its first second, where the clock was set back', async () => {
    const { clock, decide } = setUp()
    const credential = bearer(token({ nbf: clock.now() / 1000 }))
    expect(await decide(credential)).toBe('allow')
    clock.step(clock.now() - 1)
    expect(await decide(credential)).toBe('ERR_JWT_NOT_YET_VALID')
  })

  it('is refused beyond the age that is allowed', async () => {
    const { clock, decide } = setUp({ maxAgeSeconds: 60 } as Partial<JwtOptions>)
    const credential = bearer(token())
    expect(await decide(credential)).toBe('allow')
    clock.advance(60_000)
    expect(await decide(credential)).toBe('ERR_JWT_TOO_OLD')
  })

  it('is refused once its key is gone, and another key with that identifier does not bring it back', async () => {
    const keys = keySet({ publicKey: rsa.publicKey })
    const { decide } = setUp({ keys } as Partial<JwtOptions>)
    const credential = bearer(token())
    expect(await decide(credential)).toBe('allow')
    keys.replace([{ publicKey: rsa.publicKey }, { publicKey: ed25519.publicKey }])
    expect(await decide(credential)).toBe('allow')
    expect(() => keys.replace([] as never)).toThrow(expect.objectContaining({ family: 'configuration' }))
    expect(() => keys.replace({ publicKey: 'x' as never })).toThrow()
    expect(await decide(credential)).toBe('allow')
    keys.replace({ publicKey: otherRsa.publicKey })
    expect(await decide(credential)).toBe('ERR_JWT_SIGNATURE_INVALID')
    keys.replace({ publicKey: rsa.publicKey })
    expect(await decide(credential)).toBe('allow')
  })

  it('does not keep a key that came later from being found', async () => {
    const keys = keySet({ publicKey: rsa.publicKey })
    const { decide } = setUp({ keys } as Partial<JwtOptions>)
    const named = { alg: 'RS256', kid: 'new' }
    expect(await decide(bearer(forge(named, goodClaims(), rsa.privateKey)))).toBe('allow')
    keys.replace([{ publicKey: rsa.publicKey }, { publicKey: otherRsa.publicKey, keyId: 'new' }])
    expect(await decide(bearer(forge(named, goodClaims({ jti: '2' }), otherRsa.privateKey)))).toBe('allow')
    expect(await decide(bearer(forge(named, goodClaims({ jti: '3' }), rsa.privateKey)))).toBe('ERR_JWT_SIGNATURE_INVALID')
  })

  it('is asked about each time, where a function says what was revoked', async () => {
    const revoked = new Set<unknown>()
    const { decide } = setUp({ revocations: (claims: JwtClaims) => revoked.has(claims.jti) })
    const credential = bearer(token({ jti: 'a' }))
    expect(await decide(credential)).toBe('allow')
    revoked.add('a')
    expect(await decide(credential)).toBe('ERR_JWT_REVOKED')
    expect(await decide(bearer(credential.token.reveal()))).toBe('ERR_JWT_REVOKED')
    expect(await decide(bearer(token({ jti: 'b' })))).toBe('allow')
    revoked.clear()
    expect(await decide(credential)).toBe('allow')
  })

  it('is not remembered under another verifier', async () => {
    const credential = bearer(token())
    expect(await setUp().decide(credential)).toBe('allow')
    expect(await setUp({ audience: 'billing' } as Partial<JwtOptions>).decide(credential)).toBe('ERR_JWT_AUDIENCE_UNEXPECTED')
  })
})

describe('who says what was revoked', () => {
  it.each([
    ['undefined', () => undefined, 'ERR_JWT_REVOKED'],
    ['null', () => null, 'ERR_JWT_REVOKED'],
    ['zero', () => 0, 'ERR_JWT_REVOKED'],
    ['a promise of undefined', async () => undefined, 'ERR_JWT_REVOKED'],
    ['a promise of true', async () => true, 'ERR_JWT_REVOKED'],
    ['a promise of false', async () => false, 'allow'],
    ['a throw', () => { throw new Error('down') }, 'ERR_JWT_REVOCATION_UNAVAILABLE'],
    ['a rejection', async () => Promise.reject(new Error('down')), 'ERR_JWT_REVOCATION_UNAVAILABLE'],
  ])('accepts by false alone: %s', async (_, revocations, expected) => {
    const { decide } = setUp({ revocations } as never)
    const credential = bearer(token())
    expect(await decide(credential)).toBe(expected)
    expect(await decide(credential)).toBe(expected)
  }) // prettier-ignore
})

describe('what is remembered', () => {
  it('are acceptances only, so that junk evicts nothing', async () => {
    const { decide, isSync } = setUp({ tokenCache })
    const credential = bearer(token())
    expect(await decide(credential)).toBe('allow')
    for (let at = 0; at < 50; at++) expect(await decide(bearer(token({ exp: 1, jti: `${at}` })))).toBe('ERR_JWT_EXPIRED')
    for (let at = 0; at < 50; at++) expect(await decide(bearer(`${token({ jti: `${at}` })}A`))).toMatch(/SIGNATURE|BASE64/)
    expect(isSync(bearer(credential.token.reveal()))).toBe(true)
  })

  it('is bounded, and what is used stays', async () => {
    const { decide, isSync } = setUp({ tokenCache })
    const used = bearer(token({ jti: 'used' }))
    await decide(used)
    const others = Array.from({ length: 30 }, (_, at) => bearer(token({ jti: `${at}` })))
    for (const other of others) {
      expect(await decide(other)).toBe('allow')
      expect(await decide(bearer(used.token.reveal()))).toBe('allow')
    }
    expect(isSync(bearer(used.token.reveal()))).toBe(true)
    expect(isSync(bearer(others[0]!.token.reveal()))).toBe(false)
    expect(isSync(bearer(others.at(-1)!.token.reveal()))).toBe(true)
  })

  it('is shared by those who come while it is judged', async () => {
    const clock = newClock()
    const verifier = createVerifier({ ...row, clock, tokenCache })
    const text = token()
    const [one, two] = await Promise.all([verifier.verify(text), verifier.verify(text)])
    expect(one).toBe(two)
    expect(verifier.verify(text)).toBe(one)
    const none = createVerifier({ ...row, clock })
    expect(await none.verify(text)).not.toBe(await none.verify(text))
  })

  it('cannot be changed by who was given it', async () => {
    const verifier = createVerifier({ ...row, clock: newClock(), tokenCache })
    const first = await verifier.verify(token({ roles: ['user'] }))
    if ('refused' in first) throw new Error(first.refused)
    expect(() => (first.claims['roles'] as string[]).push('admin')).toThrow(TypeError)
    expect(() => Object.assign(first.claims, { sub: 'eve' })).toThrow(TypeError)
    expect(() => Object.assign(first, { claims: {} })).toThrow(TypeError)
    expect(() => Object.assign(first.header, { kid: 'x' })).toThrow(TypeError)
  })
})

describe('a verified token in hand', () => {
  const verified = async (options: object, text = token()) => {
    const clock = newClock()
    const result = await createVerifier({ ...row, clock, ...options }).verify(text)
    if ('refused' in result) throw new Error(result.refused)
    return { clock, result, stands: () => result.stands(clock.now()) }
  }

  it('stands in its time, and not before or after', async () => {
    const { clock, stands } = await verified({}, token({ nbf: newClock().now() / 1000 }))
    expect(stands()).toBe(true)
    clock.step(clock.now() - 1)
    expect(stands()).toBe(false)
    clock.step(clock.now() + 300_000)
    expect(stands()).toBe(true)
    clock.advance(1)
    expect(stands()).toBe(false)
  })

  it('falls with its key, and with what was handed out with it', async () => {
    const keys = keySet({ publicKey: rsa.publicKey })
    const byKey = await verified({ keys })
    expect(byKey.stands()).toBe(true)
    keys.replace({ publicKey: otherRsa.publicKey })
    expect(byKey.stands()).toBe(false)
    const revocation = new Revocation()
    const byList = await verified({ revocations: { isRevoked: () => false, handlesOf: () => [revocation] } })
    expect(byList.stands()).toBe(true)
    revocation.revoke('lost')
    expect(byList.stands()).toBe(false)
  })

  it('falls when its set of keys is too old to be used', async () => {
    const set = keySet({ publicKey: rsa.publicKey })
    let usableUntilMs = Number.POSITIVE_INFINITY
    const source = {
      get usableUntilMs() {
        return usableUntilMs
      },
      refreshAtMs: Number.POSITIVE_INFINITY,
      refresh: () => undefined,
    }
    const key = new VerificationKey({ key: rsa.publicKey, keyId: undefined, algorithms: ['RS256'], source })
    const { clock, stands } = await verified({ keys: { ...set, find: () => key } })
    expect(stands()).toBe(true)
    usableUntilMs = clock.now()
    expect(stands()).toBe(false)
  })
})

describe('a cache', () => {
  const key = new VerificationKey({ key: rsa.publicKey, keyId: undefined, algorithms: ['RS256'] })
  const entry = (value: number): Acceptance<number> => ({
    value,
    claims: {},
    key,
    revocations: [new Revocation()],
    fromMs: 0,
    untilMs: 1,
    used: false,
  })

  it('evicts the oldest that was not used, and something even if all were', () => {
    const cache = new TokenCache<number>(200)
    for (let at = 0; at < 200; at++) cache.set(`${at}`, entry(at))
    for (let at = 0; at < 199; at++) cache.get(`${at}`)!.used = true
    for (let at = 200; at < 400; at++) cache.set(`${at}`, { ...entry(at), used: true })
    expect(cache.size).toBe(200)
    expect(cache.get('399')).toBeDefined()
    cache.set('399', entry(7))
    expect(cache.get('399')?.value).toBe(7)
    expect(cache.size).toBe(200)
    cache.delete('399')
    expect(cache.size).toBe(199)
  })
})
