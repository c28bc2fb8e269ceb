import { describe, expect, it } from 'vitest'
import { bearer, principal, request } from './fixtures.test-support.ts'
import {
  absent,
  allOf,
  anonymous,
  anyOf,
  authenticator,
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  everyone,
  forbid,
  granted,
  type Guard,
  guard,
  isGuard,
  isSecurityError,
  notMine,
  principalOf,
  refused,
  requireGuard,
  Revocation,
  scope,
  stepUp,
  UnavailableError,
  vouchForPrincipal,
  withScopes,
  type AccessRequest,
  type Authorizer,
  type Principal,
} from './index.ts'
import { manualClock } from './testing.ts'

const proving = (init = {}): ReturnType<typeof authenticator> => authenticator('proving', () => principal(init), [{ scheme: 'Bearer' }])
const codeOf = (make: () => unknown): unknown => {
  try {
    make()
  } catch (error) {
    return isSecurityError(error) ? error.code : error
  }
  return 'made'
}

describe('a guard', () => {
  it('allows in the same tick what needs no I/O', () => {
    const decision = guard({ authenticate: proving() }).decide(request())
    expect(decision).not.toBeInstanceOf(Promise)
    expect(decision).toMatchObject({ outcome: 'allow', principal: { subject: 'alice' } })
  })

  it.each([
    ['a refusal returned', () => refused('ERR_X'), { outcome: 'challenge', reason: 'invalid', code: 'ERR_X' }],
    [
      'a refusal as malformed',
      () => refused('ERR_X', { reason: 'malformed' }),
      { outcome: 'challenge', reason: 'malformed', code: 'ERR_X' },
    ],
    ['not mine', () => notMine, { outcome: 'challenge', reason: 'missing', code: 'ERR_CREDENTIAL_MISSING' }],
    [
      'an authentication error',
      () => {
        throw new AuthenticationError('ERR_Y', 'no')
      },
      { outcome: 'challenge', reason: 'invalid', code: 'ERR_Y' },
    ],
    [
      'an authorization error',
      () => {
        throw new AuthorizationError('ERR_Y', 'no')
      },
      { outcome: 'forbid', reason: 'forbidden', code: 'ERR_Y' },
    ],
    [
      'an outage',
      () => {
        throw new UnavailableError('ERR_Z', { message: 'down', retryAfterMs: 5 })
      },
      { outcome: 'unavailable', reason: 'outage', code: 'ERR_Z', retryAfterMs: 5 },
    ],
    [
      'an overload',
      () => {
        throw new UnavailableError('ERR_Z', { message: 'full', reason: 'overload' })
      },
      { outcome: 'unavailable', reason: 'overload' },
    ],
    [
      'a configuration error',
      () => {
        throw new ConfigurationError('ERR_C', 'wrong')
      },
      { outcome: 'unavailable', reason: 'internal', code: 'ERR_INTERNAL' },
    ],
    [
      'an exception',
      () => {
        throw new TypeError('x')
      },
      { outcome: 'unavailable', reason: 'internal', code: 'ERR_INTERNAL' },
    ],
    [
      'a thrown null',
      () => {
        throw null
      },
      { outcome: 'unavailable', reason: 'internal', code: 'ERR_INTERNAL' },
    ],
    [
      'a refusal without a code',
      () => ({ refused: undefined }),
      { outcome: 'unavailable', reason: 'internal', code: 'ERR_VERDICT_INVALID' },
    ],
    ['a proof of nobody', () => ({ proven: { subject: 'alice' } }), { outcome: 'unavailable', code: 'ERR_VERDICT_INVALID' }],
    ['nothing', () => undefined, { outcome: 'unavailable', reason: 'internal', code: 'ERR_VERDICT_INVALID' }],
    ['null', () => null, { outcome: 'unavailable', reason: 'internal', code: 'ERR_VERDICT_INVALID' }],
  ])('answers %s', async (_, authenticate, expected) => {
    expect(await guard({ authenticate: authenticator('x', authenticate as never) }).decide(request())).toMatchObject(expected)
    expect(await guard({ authenticate: authenticator('x', (async () => authenticate()) as never) }).decide(request())).toMatchObject(
      expected,
    )
  })

  const real = principal({ scopes: ['a'] })
  const hostile = new Proxy(
    {},
    {
      get: () => {
        throw new Error('trap')
      },
      has: () => {
        throw new Error('trap')
      },
    },
  )
  it.each([
    ['undefined', undefined],
    ['null', null],
    ['true', true],
    ['a string', 'allow'],
    ['a number', 1],
    ['an empty object', {}],
    [
      'a look-alike',
      {
        kind: 'principal',
        issuer: 'i',
        subject: 's',
        scopes: new Set(['a']),
        factors: [],
        revocations: [],
        expiresAtMs: Infinity,
        revoked: false,
      },
    ],
    ['a spread', { ...real }],
    ['a clone', structuredClone({ ...real })],
    ['an heir', Object.create(real)],
    ['a look-alike wrapped', { proven: { ...real } }],
    ['an object full of traps', hostile],
  ])('never allows on %s', async (_, verdict) => {
    for (const answer of [() => verdict, async () => verdict]) {
      expect(await guard({ authenticate: authenticator('faulty', answer as never) }).decide(request())).toMatchObject({
        outcome: 'unavailable',
        reason: 'internal',
      })
    }
  })

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['true', true],
    ['an empty object', {}],
    ['a wrong word', { outcome: 'allow' }],
    ['a denial without a code', { outcome: 'forbid' }],
  ])('never allows when an authorizer returns %s', async (_, said) => {
    for (const authorize of [
      () => said,
      async () => said,
      () => {
        throw new Error('x')
      },
      async () => {
        throw new Error('x')
      },
    ] as never as Authorizer[]) {
      for (const policy of [authorize, anyOf(authorize, authorize), allOf(authorize, () => granted)]) {
        expect(await guard({ authenticate: proving(), authorize: policy }).decide(request())).toMatchObject({
          outcome: 'unavailable',
          reason: 'internal',
        })
        expect(await guard({ authenticate: withScopes(proving(), policy) }).decide(request())).toMatchObject({
          outcome: 'unavailable',
          reason: 'internal',
        })
        expect(await guard({ authenticate: proving(), authorize: policy }).authorize(real, request())).toMatchObject({
          outcome: 'unavailable',
          reason: 'internal',
        })
      }
    }
  })

  it('refuses two credentials in one carrier, one kind in two carriers, and what cannot be read, before any is judged', () => {
    let judged = 0
    const guarded = guard({
      authenticate: authenticator('x', () => {
        judged++
        return principal()
      }),
    })
    const cases: AccessRequest['credentials'][] = [
      [bearer('one'), bearer('two')],
      [bearer('one'), { kind: 'basic', carrier: 'authorization', username: 'a', password: real as never }],
      [bearer('one'), bearer('one', 'cookie:session')],
      [{ kind: 'malformed', carrier: 'authorization', why: 'x' }],
    ]
    for (const credentials of cases)
      expect(guarded.decide(request({ credentials }))).toMatchObject({ outcome: 'challenge', reason: 'malformed' })
    expect(judged).toBe(0)
  })

  it('enforces expiry and revocation for every mechanism', () => {
    const clock = manualClock()
    const revocation = new Revocation()
    const guarded = guard({ authenticate: proving({ expiresAt: new Date(clock.now() + 1_000), revocations: [revocation] }), clock })
    const party = principal({ expiresAt: new Date(clock.now() + 1_000), revocations: [revocation] })
    expect(guarded.decide(request())).toMatchObject({ outcome: 'allow' })
    clock.advance(999)
    expect(guarded.authorize(party, request())).toMatchObject({ outcome: 'allow' })
    clock.advance(1)
    expect(guarded.decide(request())).toMatchObject({ outcome: 'challenge', reason: 'invalid' })
    const expiry = clock.now() + 1_000
    const fresh = guard({ authenticate: proving({ expiresAt: new Date(expiry), revocations: [revocation] }), clock })
    expect(fresh.decide(request())).toMatchObject({ outcome: 'allow' })
    expect(guarded.authorize(party, request())).toMatchObject({ code: 'ERR_PRINCIPAL_EXPIRED' })
    revocation.revoke('gone')
    expect(fresh.decide(request())).toMatchObject({ outcome: 'challenge', code: 'ERR_PRINCIPAL_REVOKED' })
  })

  it('refuses a principal whose key the peer did not show, whatever mechanism proved it', () => {
    const certificate = { der: new Uint8Array(), thumbprint: 'thumb', anchor: 'anchor', notAfter: new Date() }
    const over = (thumbprint: string): AccessRequest =>
      request({ channel: { from: 'peer', protocol: 'https', secure: true, certificate: { ...certificate, thumbprint } } })
    const bound = guard({ authenticate: proving({ confirmation: { 'x5t#S256': 'thumb' } }) })
    expect(bound.decide(over('thumb'))).toMatchObject({ outcome: 'allow' })
    expect(bound.decide(over('other'))).toMatchObject({ code: 'ERR_CONFIRMATION_UNMET' })
    expect(bound.decide(request())).toMatchObject({ code: 'ERR_CONFIRMATION_UNMET' })
    expect(bound.decide(request({ channel: { from: 'relay', protocol: 'kafka', secure: true } }))).toMatchObject({
      code: 'ERR_CONFIRMATION_UNMET',
    })
    const keyBound = (possession?: { jkt: string }): Guard<Principal> =>
      guard({
        authenticate: authenticator('x', () => ({ proven: principal({ confirmation: { jkt: 'k' } }), ...(possession && { possession }) })),
      })
    expect(keyBound({ jkt: 'k' }).decide(request())).toMatchObject({ outcome: 'allow' })
    expect(keyBound({ jkt: 'other' }).decide(request())).toMatchObject({ code: 'ERR_CONFIRMATION_UNMET' })
    expect(keyBound().decide(request())).toMatchObject({ code: 'ERR_CONFIRMATION_UNMET' })
    for (const confirmation of [{}, { unknown: 'x' }, { 'x5t#S256': 'thumb', unknown: 'x' }]) {
      expect(guard({ authenticate: proving({ confirmation }) }).decide(over('thumb'))).toMatchObject({ code: 'ERR_CONFIRMATION_UNMET' })
    }
  })

  it('challenges with each scheme once, and carries the nonce on success and refusal', async () => {
    const a = authenticator('a', () => notMine, [{ scheme: 'Bearer' }, { scheme: 'DPoP' }])
    const b = authenticator('b', () => refused('ERR_B', { advice: { nonce: 'n' } }), [{ scheme: 'bearer' }])
    const decision = await guard({ authenticate: anyOf(a, b) }).decide(request())
    expect(decision.outcome !== 'allow' && decision.offers.map((offer) => offer.scheme.toLowerCase())).toEqual(['bearer', 'dpop'])
    expect(decision.advice?.nonce).toBe('n')
    const c = authenticator('c', () => ({ proven: principal(), advice: { nonce: 'm' } }))
    expect((await guard({ authenticate: c }).decide(request())).advice?.nonce).toBe('m')
    // What one leaf advises travels with the refusal of another, and only its nonce does.
    const d = authenticator('d', () => refused('ERR_D', { advice: { error: 'invalid_request' } }))
    const e = authenticator('e', () => refused('ERR_E', { advice: { error: 'use_dpop_nonce', nonce: 'o' } }))
    const refusal = await guard({ authenticate: allOf(c, d) }).decide(request())
    expect(refusal).toMatchObject({ outcome: 'challenge', code: 'ERR_D', advice: { error: 'invalid_request', nonce: 'm' } })
    expect((await guard({ authenticate: e }).decide(request())).advice).toEqual({ error: 'use_dpop_nonce', nonce: 'o' })
  })

  it('tells a step-up before a missing scope before another refusal, in any order of writing', async () => {
    const fresh: Authorizer = () => stepUp('fresh', { maxAgeSeconds: 60 })
    const never: Authorizer = () => forbid('never')
    for (const authorize of [anyOf(fresh, scope('a'), never), anyOf(never, scope('a'), fresh)]) {
      expect(await guard({ authenticate: proving(), authorize }).decide(request())).toMatchObject({
        outcome: 'challenge',
        reason: 'stepUp',
        advice: { maxAgeSeconds: 60 },
      })
    }
    expect(await guard({ authenticate: proving(), authorize: anyOf(never, scope('a'), scope('b')) }).decide(request())).toMatchObject({
      outcome: 'forbid',
      reason: 'insufficientScope',
      advice: { scopes: ['a', 'b'] },
    })
  })

  it('admits who presents nothing by absent(), and nobody with something bad', async () => {
    const guarded = guard({
      authenticate: anyOf(
        authenticator('x', ({ credentials }) => (credentials.length > 0 ? refused('ERR_X') : notMine)),
        absent(),
      ),
    })
    expect(await guarded.decide(request({ credentials: [] }))).toMatchObject({ outcome: 'allow', principal: { kind: 'anonymous' } })
    expect(await guarded.decide(request())).toMatchObject({ outcome: 'challenge', reason: 'invalid' })
    const foreign = guard({
      authenticate: anyOf(
        authenticator('x', () => notMine),
        absent(),
      ),
    })
    expect(await foreign.decide(request())).toMatchObject({ outcome: 'challenge', reason: 'missing' })
    const scoped = guard({ authenticate: anyOf(proving(), absent()), authorize: scope('a') })
    expect(await scoped.decide(request({ credentials: [] }))).toMatchObject({ outcome: 'forbid' })
    const nobody = guard({ authenticate: absent(), authorize: scope('a') })
    expect(await nobody.decide(request({ credentials: [] }))).toMatchObject({
      outcome: 'challenge',
      reason: 'missing',
      advice: { scopes: ['a'] },
    })
  })

  it('lets everyone() judge nothing, and drops inherited scopes', () => {
    const open = guard({ authenticate: proving(), authorize: scope('a') }).with({ authenticate: everyone() })
    expect(open.decide(request({ credentials: [{ kind: 'malformed', carrier: 'authorization', why: 'x' }] }))).toMatchObject({
      outcome: 'allow',
      principal: anonymous,
    })
    expect(codeOf(() => guard({ authenticate: everyone(), authorize: scope('a') }))).toBe('ERR_OPTION_INVALID')
    expect(codeOf(() => open.with({ authorize: scope('a') }))).toBe('ERR_OPTION_INVALID')
    expect(open.with({ authenticate: proving() }).decide(request())).toMatchObject({ outcome: 'allow' })
  })

  it('derives levels: what one does not name it inherits, each on its own (D-6)', () => {
    const top = guard({ authenticate: proving({ scopes: ['a'] }), authorize: scope('a') })
    expect(top.with({ authorize: scope('b') }).decide(request())).toMatchObject({ outcome: 'forbid' })
    expect(top.with({ authenticate: proving() }).decide(request())).toMatchObject({ outcome: 'forbid' })
    expect(
      top
        .with({ authenticate: proving() })
        .with({ authorize: () => granted })
        .decide(request()),
    ).toMatchObject({ outcome: 'allow' })
  })

  it('changes a policy at once, for derived guards that inherit it too, and keeps the old one if the new is wrong', () => {
    const top = guard({ authenticate: proving({ scopes: ['a'] }), authorize: scope('a') })
    const low = top.with({ authorize: scope('b') })
    let told = 0
    top.onChange(() => told++)
    top.change({ authenticate: proving({ scopes: ['b'] }) })
    expect(top.decide(request())).toMatchObject({ outcome: 'forbid' })
    expect(low.decide(request())).toMatchObject({ outcome: 'allow' })
    expect(told).toBe(1)
    expect(codeOf(() => top.change({ authenticate: {} as never }))).toBe('ERR_OPTION_INVALID')
    expect(low.decide(request())).toMatchObject({ outcome: 'allow' })
  })

  it('refuses options that are misspelt, absent, or present and undefined', () => {
    expect(codeOf(() => guard({ authenticate: proving(), autorize: scope('a') } as never))).toBe('ERR_OPTION_UNKNOWN')
    expect(codeOf(() => guard({} as never))).toBe('ERR_OPTION_MISSING')
    expect(codeOf(() => guard({ authenticate: undefined } as never))).toBe('ERR_OPTION_INVALID')
    expect(codeOf(() => guard({ authenticate: proving(), authorize: undefined } as never))).toBe('ERR_OPTION_INVALID')
    expect(codeOf(() => guard({ authenticate: proving(), authorize: true } as never))).toBe('ERR_OPTION_INVALID')
    expect(codeOf(() => guard({ authenticate: [] } as never))).toBe('ERR_OPTION_INVALID')
    expect(codeOf(() => scope(''))).toBe('ERR_OPTION_INVALID')
    expect(codeOf(() => requireGuard('serve', undefined))).toBe('ERR_GUARD_MISSING')
    expect(codeOf(() => requireGuard('serve', { decide: () => ({ outcome: 'allow' }) } as never))).toBe('ERR_GUARD_MISSING')
    expect(isGuard(guard({ authenticate: proving() }))).toBe(true)
  })

  it('keeps principals of native requests for frameworks, and throws where no guard has run', () => {
    const one = guard({ authenticate: proving() })
    const other = guard({ authenticate: proving() })
    const native = {}
    one.remember(native, principal())
    expect(principalOf(one, native).subject).toBe('alice')
    expect(codeOf(() => principalOf(other, native))).toBe('ERR_GUARD_NOT_RUN')
  })

  it("hands the caller's signal to the mechanisms, and one of its own without", async () => {
    const seen: AbortSignal[] = []
    const guarded = guard({
      authenticate: authenticator('x', (_, { signal }) => {
        seen.push(signal)
        return principal()
      }),
    })
    const { signal } = new AbortController()
    await guarded.decide(request(), signal)
    await guarded.decide(request())
    expect(seen[0]).toBe(signal)
    expect(seen[1]).toBeInstanceOf(AbortSignal)
    expect(seen[1]).not.toBe(signal)
  })

  it('says what is on offer, and that is nothing where everyone may come', () => {
    expect(guard({ authenticate: proving() }).offers).toEqual([{ scheme: 'Bearer' }])
    expect(guard({ authenticate: everyone() }).offers).toEqual([])
  })

  it('explains every leaf', async () => {
    const down = authenticator('down', () => {
      throw new UnavailableError('ERR_D', 'down')
    })
    const policy = allOf(
      anyOf(
        authenticator('a', () => notMine),
        authenticator('b', () => principal()),
      ),
      down,
    )
    const decision = await guard({ authenticate: policy }).decide(request())
    expect(decision.explain().leaves).toMatchObject([
      { leaf: 'a', outcome: 'missing' },
      { leaf: 'down', outcome: 'unavailable', code: 'ERR_D', cause: expect.any(UnavailableError) },
      { leaf: 'b', outcome: 'proven' },
    ])
  })

  it('does not ask for a principal type that a policy cannot prove', () => {
    const typed = guard({
      authenticate: authenticator('x', () => vouchForPrincipal({ issuer: 'i', subject: 's', claims: { tier: 'gold' } })),
    })
    const decision = typed.decide(request())
    if (decision instanceof Promise || decision.outcome !== 'allow') throw new Error('refused')
    const tier: string = decision.principal.claims.tier
    expect(tier).toBe('gold')
  })
})
