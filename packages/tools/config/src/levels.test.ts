import {
  allOf,
  anyOf,
  authenticator,
  everyone,
  guard,
  notMine,
  refused,
  scope,
  secret,
  UnavailableError,
  vouchForPrincipal,
  withScopes,
  type AccessRequest,
  type Authenticator,
  type Decision,
  type Guard,
  type Policy,
  type Verdict,
} from '@portcullis/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { authenticationDisabled } from './danger.ts'
import { policyFrom } from './index.ts'

/** What each mechanism makes of a request is written into the request itself. */
const names = ['m0', 'm1', 'm2'] as const
const scopeNames = ['a', 'b', 'c'] as const
type Name = (typeof names)[number]
type Outcome = 'proven' | 'invalid' | 'missing' | 'unavailable'

function mechanism(name: Name): Authenticator {
  return authenticator(
    name,
    ({ attributes }): Verdict => {
      const { outcome, scopes } = (attributes as Record<Name, { outcome: Outcome; scopes: readonly string[] }>)[name]
      if (outcome === 'missing') return notMine
      if (outcome === 'invalid') return refused('ERR_TEST')
      if (outcome === 'unavailable') throw new UnavailableError('ERR_TEST_OUTAGE', 'down')
      return vouchForPrincipal({ issuer: name, subject: 'somebody', scopes })
    },
    [{ scheme: name }],
  )
}
const mechanisms = { m0: mechanism('m0'), m1: mechanism('m1'), m2: mechanism('m2') }

// A level in both forms: what the data say, and what a user would have written by hand.
type Entry = Name | { readonly use: Name; readonly scopes: readonly string[] }
interface LevelData {
  readonly authenticate?: Entry | readonly Entry[] | readonly (readonly Entry[])[]
  readonly scopes?: string | readonly string[] | readonly (readonly string[])[]
}

const entryByHand = (entry: Entry): Policy =>
  typeof entry === 'string' ? mechanisms[entry] : withScopes(mechanisms[entry.use], entry.scopes as [string, ...string[]])

type Many<T> = readonly [T, ...T[]]
const authenticateByHand = (value: NonNullable<LevelData['authenticate']>): Policy => {
  if (!Array.isArray(value)) return entryByHand(value as Entry)
  if (!Array.isArray(value[0])) return anyOf(...((value as readonly Entry[]).map(entryByHand) as unknown as Many<Policy>))
  return allOf(
    ...((value as readonly (readonly Entry[])[]).map((list) =>
      anyOf(...(list.map(entryByHand) as unknown as Many<Policy>)),
    ) as unknown as Many<Policy>),
  )
}
const scopesByHand = (value: NonNullable<LevelData['scopes']>) => {
  const any = (list: readonly string[]) => anyOf(...(list.map((name) => scope(name)) as unknown as Many<ReturnType<typeof scope>>))
  if (typeof value === 'string') return scope(value)
  if (!Array.isArray(value[0])) return any(value as readonly string[])
  return allOf(...((value as readonly (readonly string[])[]).map(any) as unknown as Many<ReturnType<typeof scope>>))
}
const levelByHand = ({ authenticate, scopes }: LevelData) => ({
  ...(authenticate !== undefined && { authenticate: authenticateByHand(authenticate) }),
  ...(scopes !== undefined && { authorize: scopesByHand(scopes) }),
})
const derivedByHand = (above: Guard, level: LevelData): Guard =>
  Object.keys(level).length === 0 ? above : above.with(levelByHand(level) as Parameters<Guard['with']>[0])

const several = <T>(one: fc.Arbitrary<T>) => fc.array(one, { minLength: 1, maxLength: 3 })
const bothForms = <T>(one: fc.Arbitrary<T>) => fc.oneof(one, several(one), several(several(one)))
const scopeArbitrary = fc.constantFrom(...scopeNames)
const entryArbitrary = fc.oneof(fc.constantFrom(...names), fc.record({ use: fc.constantFrom(...names), scopes: several(scopeArbitrary) }))
const authenticateArbitrary = bothForms<Entry>(entryArbitrary)
const scopesArbitrary = bothForms<string>(scopeArbitrary)
const lowerLevel = fc.record({ authenticate: authenticateArbitrary, scopes: scopesArbitrary }, { requiredKeys: [] })
const topLevel = fc.record({ authenticate: authenticateArbitrary, scopes: scopesArbitrary }, { requiredKeys: ['authenticate'] })
const facts = fc.record({
  outcome: fc.constantFrom<Outcome>('proven', 'proven', 'invalid', 'missing', 'unavailable'),
  scopes: fc.uniqueArray(scopeArbitrary),
})
const requestArbitrary = fc.record({ m0: facts, m1: facts, m2: facts })

function request(attributes: Record<string, unknown>): AccessRequest {
  return {
    credentials: [{ kind: 'bearer', carrier: 'authorization', token: secret('t') }],
    action: 'GET',
    resource: '/',
    attributes,
    channel: { from: 'peer', protocol: 'https', secure: true },
  }
}

const told = (decision: Decision) => ({
  outcome: decision.outcome,
  code: decision.code,
  advice: decision.advice,
  subject: decision.outcome === 'allow' && decision.principal.kind === 'principal' ? decision.principal.issuer : undefined,
  offers: decision.outcome === 'allow' ? undefined : decision.offers,
  leaves: decision.explain().leaves.map(({ leaf, outcome }) => [leaf, outcome]),
})

describe('policies out of data', () => {
  it('decide as those made by hand, at every level', async () => {
    await fc.assert(
      fc.asyncProperty(
        topLevel,
        lowerLevel,
        lowerLevel,
        fc.array(requestArbitrary, { minLength: 1, maxLength: 8 }),
        async (top, low, lowest, requests) => {
          const data = { ...top, services: { s: { ...low, resources: { r: lowest } } } }
          const services = { s: ['r'] } as const
          const policy = await policyFrom(data, { mechanisms, services })
          const listener = guard(levelByHand(top) as Parameters<typeof guard>[0]) as Guard
          const service = derivedByHand(listener, low)
          const pairs: [Guard, Guard][] = [
            [policy.guard, listener],
            [policy.at('s'), service],
            [policy.at('s', 'r'), derivedByHand(service, lowest)],
          ]
          for (const attributes of requests)
            for (const [declared, byHand] of pairs)
              expect(told(await declared.decide(request(attributes)))).toEqual(told(await byHand.decide(request(attributes))))
        },
      ),
      { numRuns: 300 },
    )
  })

  const only = (outcome: Outcome, scopes: readonly string[] = []) =>
    request({ m0: { outcome, scopes }, m1: { outcome: 'missing', scopes: [] }, m2: { outcome: 'missing', scopes: [] } })

  it('let a level without words of its own be the one above', async () => {
    const policy = await policyFrom({ authenticate: 'm0', services: { a: {} } }, { mechanisms, services: { a: ['r'], b: [] } })
    expect(policy.at('a')).toBe(policy.guard)
    expect(policy.at('b')).toBe(policy.guard)
    expect(policy.at('a', 'r')).toBe(policy.guard)
  })

  it('are disabled only where code says so, and lower levels can be enabled again', async () => {
    const data = {
      authenticate: 'm0',
      scopes: 'a',
      services: { s: { enabled: false, resources: { closed: { enabled: true }, changed: { enabled: true, scopes: 'b' }, open: {} } } },
    }
    const services = { s: ['closed', 'changed', 'open'], t: ['r'] } as const
    await expect(policyFrom(data, { mechanisms, services })).rejects.toMatchObject({
      code: 'ERR_CONFIG_DISABLED',
      message: expect.stringMatching(/^services\.s\.enabled /),
    })
    const disabled = { 'services.s.enabled': authenticationDisabled } as const
    const policy = await policyFrom(data, { mechanisms, services, disabled })
    const outcome = async (judging: Guard, asked: AccessRequest) => (await judging.decide(asked)).outcome
    expect(await outcome(policy.guard, only('missing'))).toBe('challenge')
    expect(await outcome(policy.at('t', 'r'), only('missing'))).toBe('challenge')
    expect(await outcome(policy.at('s'), only('missing'))).toBe('allow')
    expect(await outcome(policy.at('s', 'open'), only('invalid'))).toBe('allow')
    expect(await outcome(policy.at('s', 'closed'), only('missing'))).toBe('challenge')
    expect(await outcome(policy.at('s', 'closed'), only('proven'))).toBe('forbid')
    expect(await outcome(policy.at('s', 'closed'), only('proven', ['a']))).toBe('allow')
    expect(await outcome(policy.at('s', 'changed'), only('proven', ['a']))).toBe('forbid')
    expect(await outcome(policy.at('s', 'changed'), only('proven', ['b']))).toBe('allow')
  })

  it('are not disabled by anything that looks like the symbol', async () => {
    for (const lookAlike of [true, 'portcullis.config.authenticationDisabled', Symbol('portcullis.config.authenticationDisabled'), {}])
      await expect(
        policyFrom(
          { authenticate: 'm0', enabled: false },
          { mechanisms, disabled: { enabled: lookAlike as typeof authenticationDisabled } },
        ),
      ).rejects.toMatchObject({ code: 'ERR_CONFIG_DISABLED' })
    const policy = await policyFrom({ authenticate: 'm0', enabled: false }, { mechanisms, disabled: { enabled: authenticationDisabled } })
    expect((await policy.guard.decide(only('missing'))).outcome).toBe('allow')
  })

  it('below a disabled level must say whether they are enabled', async () => {
    const data = { authenticate: 'm0', services: { s: { enabled: false, resources: { r: { scopes: 'a' } } } } }
    const disabled = { 'services.s.enabled': authenticationDisabled } as const
    await expect(policyFrom(data, { mechanisms, services: { s: ['r'] }, disabled })).rejects.toMatchObject({
      code: 'ERR_OPTION_MISSING',
      message: expect.stringMatching(/^services\.s\.resources\.r\.enabled /),
    })
  })

  it('admit nobody unproven but where code says so', async () => {
    const services = { s: ['r'] } as const
    const anonymous = ['services.s.authenticate', 'services.s.resources.r.authenticate']
    const data = {
      authenticate: 'm0',
      scopes: 'a',
      services: { s: { authenticate: 'everyone', resources: { r: { authenticate: ['m0', 'absent'] } } } },
    }
    await expect(policyFrom(data, { mechanisms, services })).rejects.toMatchObject({ code: 'ERR_CONFIG_ANONYMOUS' })
    await expect(policyFrom(data, { mechanisms, services, anonymous: anonymous.slice(0, 1) })).rejects.toMatchObject({
      message: expect.stringMatching(/^services\.s\.resources\.r\.authenticate says "absent"/),
    })
    const policy = await policyFrom(data, { mechanisms, services, anonymous })
    const byHand = (guard({ authenticate: mechanisms.m0, authorize: scope('a') }) as Guard).with({ authenticate: everyone() })
    for (const asked of [only('missing'), only('invalid'), only('proven')])
      expect(told(await policy.at('s').decide(asked))).toEqual(told(await byHand.decide(asked)))
    expect((await policy.at('s', 'r').decide(only('invalid'))).outcome).toBe('challenge')
    expect((await policy.at('s', 'r').decide({ ...only('missing'), credentials: [] })).outcome).toBe('allow')
  })
})
