import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { principal, request } from './fixtures.test-support.ts'
import {
  allOf,
  anyOf,
  authenticator,
  everyone,
  forbid,
  granted,
  guard,
  isSecurityError,
  maxAlternatives,
  notMine,
  refused,
  scope,
  stepUp,
  UnavailableError,
  withScopes,
  type Authenticator,
  type Authorizer,
  type Policy,
  type Principal,
  type Verdict,
} from './index.ts'

type Outcome = 'proven' | 'unavailable' | 'forbid' | 'invalid' | 'missing'
type Tree = { readonly leaf: number } | { readonly any: readonly Tree[] } | { readonly all: readonly Tree[] }

// The tables of the composition rules, written down a second time and as plainly as they read.
const best: readonly Outcome[] = ['proven', 'unavailable', 'forbid', 'invalid', 'missing']
const worst: readonly Outcome[] = ['invalid', 'missing', 'unavailable', 'forbid', 'proven']
const strongest = (order: readonly Outcome[], outcomes: readonly Outcome[]): Outcome =>
  order.find((outcome) => outcomes.includes(outcome)) as Outcome

/** Every way to choose one branch of each OR: sets of leaves. */
function ways(tree: Tree): number[][] {
  if ('leaf' in tree) return [[tree.leaf]]
  if ('any' in tree) return tree.any.flatMap(ways)
  return tree.all.map(ways).reduce((product, list) => product.flatMap((left) => list.map((right) => [...left, ...right])))
}

const oracle = (tree: Tree, outcomes: readonly Outcome[]): Outcome =>
  strongest(
    best,
    ways(tree).map((way) =>
      strongest(
        worst,
        way.map((leaf) => outcomes[leaf] as Outcome),
      ),
    ),
  )

function mechanism(at: number, outcome: Outcome, asynchronous: boolean): Policy {
  const answer = (): Verdict<Principal> => {
    switch (outcome) {
      case 'missing':
        return notMine
      case 'invalid':
        return refused('ERR_TEST')
      case 'unavailable':
        throw new UnavailableError('ERR_TEST', 'down')
      default:
        return principal({ issuer: `https://${at}.example`, subject: `${at}` })
    }
  }
  const leaf = authenticator<Principal>(`leaf ${at}`, asynchronous ? async () => answer() : answer, [{ scheme: `S${at}` }])
  return outcome === 'forbid' ? withScopes(leaf, ['a-scope-nobody-has']) : leaf
}

const build = (tree: Tree, leaves: readonly Policy[]): Policy => {
  if ('leaf' in tree) return leaves[tree.leaf] as Policy
  const [first, ...rest] = ('any' in tree ? tree.any : tree.all).map((branch) => build(branch, leaves)) as [Policy, ...Policy[]]
  return 'any' in tree ? anyOf(first, ...rest) : allOf(first, ...rest)
}

const outcomeOf = async (policy: Policy): Promise<Outcome> => {
  const decision = await guard({ authenticate: policy }).decide(request())
  if (decision.outcome === 'allow') return 'proven'
  if (decision.outcome === 'challenge') return decision.reason === 'missing' ? 'missing' : 'invalid'
  return decision.outcome
}

const leafCount = 4
const outcomesArb = fc.array(fc.constantFrom<Outcome>('proven', 'unavailable', 'forbid', 'invalid', 'missing'), {
  minLength: leafCount,
  maxLength: leafCount,
})
const { tree: treeArb } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.nat(leafCount - 1).map((leaf) => ({ leaf })),
    fc.array(tie('tree'), { minLength: 1, maxLength: 3 }).map((any) => ({ any })),
    fc.array(tie('tree'), { minLength: 1, maxLength: 3 }).map((all) => ({ all })),
  ),
}))
const smallTree = treeArb.filter((tree) => ways(tree).length <= maxAlternatives)
const setting = fc.record({
  tree: smallTree,
  outcomes: outcomesArb,
  asynchronous: fc.array(fc.boolean(), { minLength: leafCount, maxLength: leafCount }),
})
const leavesOf = (outcomes: readonly Outcome[], asynchronous: readonly boolean[]): Policy[] =>
  outcomes.map((outcome, at) => mechanism(at, outcome, asynchronous[at] === true))

describe('composition', () => {
  it('comes out as the tables say, for random trees, whether leaves answer at once or later', async () => {
    await fc.assert(
      fc.asyncProperty(setting, async ({ tree, outcomes, asynchronous }) => {
        expect(await outcomeOf(build(tree, leavesOf(outcomes, asynchronous)))).toBe(oracle(tree, outcomes))
      }),
      { numRuns: 500 },
    )
  })

  const mirrored = (tree: Tree): Tree =>
    'leaf' in tree ? tree : 'any' in tree ? { any: tree.any.map(mirrored).toReversed() } : { all: tree.all.map(mirrored).toReversed() }

  it('is commutative: the order of writing never changes the outcome', async () => {
    await fc.assert(
      fc.asyncProperty(setting, async ({ tree, outcomes, asynchronous }) => {
        const leaves = leavesOf(outcomes, asynchronous)
        expect(await outcomeOf(build(mirrored(tree), leaves))).toBe(await outcomeOf(build(tree, leaves)))
      }),
      { numRuns: 200 },
    )
  })

  it('is associative, and idempotent', async () => {
    const three = fc.tuple(smallTree, smallTree, smallTree)
    await fc.assert(
      fc.asyncProperty(three, outcomesArb, fc.constantFrom('any' as const, 'all' as const), async ([a, b, c], outcomes, op) => {
        const join = (...parts: Tree[]): Tree => (op === 'any' ? { any: parts } : { all: parts })
        const shapes = [join(a, b, c), join(join(a, b), c), join(a, join(b, c))]
        if (shapes.some((shape) => ways(shape).length > maxAlternatives) || ways(join(a, a)).length > maxAlternatives) return
        const leaves = leavesOf(outcomes, [])
        const [flat, left, right] = await Promise.all(shapes.map((shape) => outcomeOf(build(shape, leaves))))
        expect(left).toBe(flat)
        expect(right).toBe(flat)
        expect(await outcomeOf(build(join(a, a), leaves))).toBe(await outcomeOf(build(a, leaves)))
      }),
      { numRuns: 200 },
    )
  })

  it('of authorizers grants as logic says, answers the first that ends it, and takes no fault for a grant', async () => {
    const answers = { granted, no: forbid('ERR_NO'), fresh: stepUp('ERR_STEP_UP_REQUIRED', {}), fault: undefined, text: 'granted' }
    const said = fc.constantFrom(...(Object.keys(answers) as (keyof typeof answers)[]))
    const sayings = fc.array(fc.tuple(said, fc.boolean()), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(sayings, fc.constantFrom('any' as const, 'all' as const), async (list, operator) => {
        const [first, ...rest] = list.map(
          ([what, later]): Authorizer => (() => (later ? Promise.resolve(answers[what]) : answers[what])) as Authorizer,
        ) as [Authorizer, ...Authorizer[]]
        const authorize = operator === 'any' ? anyOf(first, ...rest) : allOf(first, ...rest)
        const whats = list.map(([what]) => what)
        const isFault = (what: string) => what === 'fault' || what === 'text'
        const ends = whats.find((what) => isFault(what) || (what === 'granted') === (operator === 'any'))
        const without = operator === 'all' ? 'granted' : whats.includes('fresh') ? 'fresh' : 'no'
        const outcomes = { granted: 'allow', no: 'forbid', fresh: 'challenge', fault: 'unavailable', text: 'unavailable' }
        const decision = await guard({ authenticate: mechanism(0, 'proven', false), authorize }).decide(request())
        expect(decision.outcome).toBe(outcomes[ends ?? without])
      }),
      { numRuns: 500 },
    )
  })

  it('expands to as many alternatives as are allowed, and to none more', () => {
    const many = (count: number): Policy => {
      const [first, ...rest] = Array.from({ length: count }, (_, at) => mechanism(at, 'proven', false)) as [Policy, ...Policy[]]
      return anyOf(first, ...rest)
    }
    expect(() => many(maxAlternatives)).not.toThrow()
    expect(() => many(maxAlternatives + 1)).toThrow(expect.objectContaining({ code: 'ERR_POLICY_TOO_LARGE' }))
  })

  it.each([
    ['everyone()', everyone(), 'absent()'],
    ['null', null, 'authenticators'],
    ['undefined', undefined, 'authenticators'],
    ['an authenticator without its function', { authenticate: 'x', offers: [] }, 'authenticators'],
    ['an authenticator without its offers', { authenticate: () => notMine }, 'authenticators'],
    ['something that looks composed', { alternatives: [[]] }, 'authenticators'],
  ])('takes no %s, and says what it takes', (_, part, hint) => {
    expect(() => anyOf(mechanism(0, 'proven', false), part as never)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_INVALID', message: expect.stringContaining(hint) }),
    )
  })

  it('asks each mechanism once a request, also where it stands twice with different scopes', async () => {
    let asked = 0
    const leaf = authenticator('counted', async () => {
      asked++
      return principal({ scopes: ['b'] })
    })
    const policy = anyOf(withScopes(leaf, ['a']), allOf(leaf, withScopes(leaf, ['c'])), withScopes(leaf, ['b']))
    expect((await guard({ authenticate: policy }).decide(request())).outcome).toBe('allow')
    expect(asked).toBe(1)
  })

  it('tries the next alternative when authorize does not accept the first', async () => {
    const poor = authenticator('poor', () => principal({ subject: 'poor' }))
    const rich = authenticator('rich', () => principal({ subject: 'rich', scopes: ['write'] }))
    for (const policy of [anyOf(poor, rich), anyOf(rich, poor)]) {
      const decision = await guard({ authenticate: policy, authorize: scope('write') }).decide(request())
      expect(decision.outcome === 'allow' && decision.principal.subject).toBe('rich')
    }
  })

  it('says "a JWT with scope a, or Basic with scope b" (D-4)', async () => {
    const jwt = authenticator('jwt', ({ credentials }) => (credentials[0]?.kind === 'bearer' ? principal({ scopes: ['b'] }) : notMine))
    const basic = authenticator('basic', ({ credentials }) => (credentials[0]?.kind === 'apiKey' ? principal({ scopes: ['b'] }) : notMine))
    const policy = guard({ authenticate: anyOf(withScopes(jwt, ['a']), withScopes(basic, ['b'])) })
    expect((await policy.decide(request())).outcome).toBe('forbid')
  })

  it('gives the subject and the scopes of the first, and the others as factors', async () => {
    const early = new Date(Date.now() + 1_000)
    const user = authenticator('user', () => principal({ scopes: ['read'], expiresAt: new Date(Date.now() + 60_000) }))
    const device = authenticator('device', () => principal({ issuer: 'urn:devices', subject: 'd1', scopes: ['admin'], expiresAt: early }))
    const decision = await guard({ authenticate: allOf(user, device) }).decide(request())
    if (decision.outcome !== 'allow') throw new Error('refused')
    expect(decision.principal.subject).toBe('alice')
    expect([...decision.principal.scopes]).toEqual(['read'])
    expect(decision.principal.factorOf('urn:devices')?.scopes.has('admin')).toBe(true)
    expect(decision.principal.expiresAt).toEqual(early)
    expect((await guard({ authenticate: allOf(user, device), authorize: scope('admin') }).decide(request())).outcome).toBe('forbid')
  })

  it('tells nothing about scopes before every factor is proven', async () => {
    const first = withScopes(
      authenticator('first', () => principal()),
      ['never'],
    )
    const second = authenticator('second', () => notMine)
    const decision = await guard({ authenticate: allOf(first, second) }).decide(request())
    expect(decision).toMatchObject({ outcome: 'challenge', reason: 'missing', advice: undefined })
  })

  it('refuses empty and oversized policies, and everyone() within one', () => {
    const leaf = (): Authenticator => authenticator<Principal>('x', () => notMine)
    const code = (make: () => unknown): unknown => {
      try {
        make()
      } catch (error) {
        return isSecurityError(error) ? error.code : error
      }
      return 'made'
    }
    expect(code(() => (anyOf as () => unknown)())).toBe('ERR_POLICY_EMPTY')
    expect(code(() => (allOf as () => unknown)())).toBe('ERR_POLICY_EMPTY')
    expect(code(() => anyOf(leaf(), everyone() as never))).toBe('ERR_OPTION_INVALID')
    expect(code(() => anyOf(leaf(), { alternatives: [] } as never))).toBe('ERR_OPTION_INVALID')
    const nine = (): Policy => anyOf(leaf(), leaf(), leaf(), leaf(), leaf(), leaf(), leaf(), leaf(), leaf())
    expect(code(() => allOf(nine(), nine()))).toBe('ERR_POLICY_TOO_LARGE')
    expect(code(() => withScopes(leaf(), [] as never))).toBe('ERR_OPTION_INVALID')
    expect(code(() => withScopes(leaf(), [''] as never))).toBe('ERR_OPTION_INVALID')
  })
})
