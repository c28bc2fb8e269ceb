import { GraphQLNonNull, GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql'
import { createSchema } from 'graphql-yoga'
import { afterEach, describe, expect, it } from 'vitest'
import { access, accessDirectives, everyone, forbid, graphql, granted, guard, serve, type Authorizer, type FieldAccess } from './index.ts'
import { asked, ask, clock, codes, events, mechanism, open, policy, ran, run, server, tls } from './scene.test-support.ts'

afterEach(() => server.close({ graceMs: 0 }))

describe('a field that is refused', () => {
  it('is null with an error and its challenge, beside what is allowed, and its resolver does not run', async () => {
    await open()
    const answer = await run('{ hello salary }')
    expect(answer.status).toBe(200)
    expect(answer.json.data).toEqual({ hello: 'hello alice', salary: null })
    expect(answer.json.errors).toMatchObject([
      {
        path: ['salary'],
        message: 'The credentials do not carry the scope that is needed.',
        extensions: { code: 'FORBIDDEN', challenges: ['Bearer realm="tests", error="insufficient_scope", scope="admin"'] },
      },
    ])
    expect(ran).toEqual([])
    expect(events).toMatchObject([
      { type: 'decision', resource: '/graphql', outcome: 'allow' },
      { type: 'decision', resource: 'Query.salary', action: 'query', outcome: 'forbid', reason: 'insufficientScope' },
    ])
  })

  it.each([
    ['', 'FORBIDDEN'],
    ['hr', 'FORBIDDEN'],
    ['read', 'FORBIDDEN'],
    ['hr~read', undefined],
    ['admin', undefined],
  ])('with the scopes "%s" of [["hr", "read"], ["admin"]] is %s', async (scopes, code) => {
    await open()
    expect(codes(await run('{ user { name salary } }', scopes))['user.salary']).toBe(code)
  })

  it('that may not be null takes its parent along, as the specification has it', async () => {
    await open()
    const answer = await run('{ hello required }')
    expect(answer.json.data).toBeNull()
    expect(codes(answer)).toEqual({ required: 'FORBIDDEN' })
    expect(ran).toEqual([])
  })

  it('of a mutation does not run, and neither does what is below it', async () => {
    await open()
    const answer = await run('mutation { pay count }')
    expect(answer.json.data).toEqual({ pay: null, count: 2 })
    expect(ran).toEqual(['count'])
  })

  it('in the time between is no longer allowed: the principal is looked at again', async () => {
    await open()
    const answer = await ask({ token: 'alice.admin.0', body: JSON.stringify({ query: '{ salary }' }) })
    expect(answer.status).toBe(401)
  })
})

describe('no way to write an operation goes round a rule:', () => {
  it.each([
    ['an alias', '{ a: user { b: salary } }', 'a.b'],
    ['a named fragment', 'fragment F on User { salary } { user { ...F } }', 'user.salary'],
    ['an inline fragment without a type', '{ user { ... { salary } } }', 'user.salary'],
    ['a fragment on an interface', '{ node { ... on User { salary } } }', 'node.salary'],
    ['a fragment on a union', '{ anything { ... on User { salary } } }', 'anything.salary'],
    ['a variable in @include', 'query ($yes: Boolean = true) { user { salary @include(if: $yes) } }', 'user.salary'],
    ['a list', '{ users { salary } }', 'users.0.salary'],
    ['a nested object', '{ user { boss { salary } } }', 'user.boss.salary'],
    ['the root, reached again', '{ user { self { salary } } }', 'user.self.salary'],
  ])('%s', async (_, query, path) => {
    await open()
    const answer = await run(query)
    expect(codes(answer)[path]).toBe('FORBIDDEN')
    expect(answer.text).not.toMatch(/[:[](5|9|7)[,}\]]/)
  })
})

describe('a rule of an interface', () => {
  it('on a field holds for the types that implement it', async () => {
    await open()
    const answer = await run('{ user { name } node { name ... on User { id } } }')
    expect(codes(answer)).toEqual({ 'node.id': 'FORBIDDEN' })
    expect((await run('{ user { id } node { id } }', 'nodes')).json).toEqual({ data: { user: { id: 'u1' }, node: { id: 'u1' } } })
  })

  it('itself holds for the types that implement it', async () => {
    await open()
    expect(codes(await run('{ memo { note } }'))).toEqual({ memo: 'FORBIDDEN' })
    expect(ran).toEqual([])
    expect((await run('{ memo { note } }', 'hidden')).json.data).toEqual({ memo: { note: 'n' } })
  })
})

describe('a rule of a type', () => {
  it.each([
    ['behind an interface', '{ node(secret: true) { __typename name } }', 'node'],
    ['behind a union', '{ anything(secret: true) { __typename } }', 'anything'],
    ['in a list', '{ list { __typename ... on Secret { plan } ... on User { name } } }', 'list.1'],
  ])('%s keeps even its name', async (_, query, path) => {
    await open()
    const answer = await run(query, 'nodes')
    expect(codes(answer)[path]).toBe('FORBIDDEN')
    expect(answer.text).not.toMatch(/Secret|Manhattan|boom/)
    expect((await run(query, 'nodes~secret')).text).toContain('Secret')
  })

  it('holds for an enum', async () => {
    await open()
    expect((await run('{ rank }')).json.data).toEqual({ rank: null })
    expect(ran).toEqual([])
    expect((await run('{ rank }', 'ranks')).json.data).toEqual({ rank: 'HIGH' })
  })
})

describe('a policy', () => {
  it('sees the arguments, once for each place of an operation', async () => {
    await open()
    const answer = await run('query ($id: Int!) { a: order(id: $id) b: order(id: 2) ...F } fragment F on Query { a: order(id: $id) }', '', {
      id: 1,
    })
    expect(answer.json.data).toEqual({ a: 'order 1', b: null })
    expect(codes(answer)).toEqual({ b: 'FORBIDDEN' })
    expect(asked).toEqual(['owner 1', 'owner 2'])
  })

  it('without arguments is asked once an execution, however often its field stands there', async () => {
    let times = 0
    const count: Authorizer = () => {
      times++
      return Promise.resolve(granted)
    }
    await open({
      policies: { count },
      yoga: {
        schema: createSchema({
          typeDefs: `${accessDirectives} type Query { all: [Item] } type Item { price: Int @policy(policies: [["count"]]) }`,
          resolvers: { Query: { all: () => Array.from({ length: 50 }, () => ({ price: 3 })) } },
        }),
      },
    })
    const answer = await run('{ all { price more: price } }')
    expect(answer.json.data?.['all']).toHaveLength(50)
    expect(times).toBe(1)
    await run('{ all { price more: price } }')
    expect(times).toBe(2)
  })

  it('that throws, or answers nonsense, refuses', async () => {
    for (const broken of [
      () => Promise.reject(new Error('secret details')),
      () => ({ outcome: 'yes' }) as never,
      () => undefined as never,
    ]) {
      await open({
        policies: { broken },
        yoga: {
          schema: createSchema({
            typeDefs: `${accessDirectives} type Query { a: Int @policy(policies: [["broken"]]) }`,
            resolvers: { Query: { a: () => 1 } },
          }),
        },
      })
      const answer = await run('{ a }')
      expect(answer.json.data).toEqual({ a: null })
      expect(codes(answer)).toEqual({ a: 'INTERNAL_SERVER_ERROR' })
      expect(answer.text).not.toContain('secret details')
      await server.close({ graceMs: 0 })
    }
    await open()
  })
})

describe('what is open to everyone', () => {
  it.each(['{ health }', '{ again: health }', 'query A { ...F } fragment F on Query { health }', 'mutation { login }'])(
    'is answered without a credential, and with one that is not accepted: %s',
    async (query) => {
      await open()
      for (const token of [undefined, 'bad']) {
        const answer = await ask({ ...(token !== undefined && { token }), body: JSON.stringify({ query }) })
        expect(answer.json.errors).toBeUndefined()
        expect(answer.status).toBe(200)
      }
    },
  )

  it.each([
    ['another field', '{ health hello }'],
    ['another field in a fragment', '{ health ...F } fragment F on Query { hello }'],
    ['another field in an inline fragment', '{ health ... @skip(if: true) { hello } }'],
    ['another operation', 'query A { health } query B { hello }'],
    ['the schema', '{ health __schema { types { name } } }'],
    ['the name of the root', '{ __typename }'],
    ['what does not exist', '{ health nothing }'],
    ['a mutation beside it', 'query A { health } mutation B { count }'],
  ])('opens nothing else: %s', async (_, query) => {
    await open()
    const answer = await ask({ body: JSON.stringify({ query, operationName: query.startsWith('query A') ? 'A' : undefined }) })
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toBe('Bearer realm="tests"')
    expect(answer.json).toEqual({
      errors: [
        {
          message: 'This asks for credentials that were not presented.',
          extensions: { code: 'UNAUTHENTICATED', challenges: ['Bearer realm="tests"'] },
        },
      ],
    })
    // Nothing is kept of a refusal: the next caller is another one.
    if (!query.includes('nothing') && !query.includes('__schema'))
      expect(
        (await ask({ token: 'alice', body: JSON.stringify({ query, operationName: query.startsWith('query A') ? 'A' : undefined }) }))
          .status,
      ).toBe(200)
  })

  it('is not what lies below it and has a rule', async () => {
    await open({
      yoga: {
        schema: createSchema({
          typeDefs: `${accessDirectives} type Query { open: Open @everyone other: Int } type Open { free: Int bound: Int @authenticated }`,
          resolvers: { Query: { open: () => ({ free: 1, bound: 2 }) } },
        }),
      },
    })
    const answer = await ask({ body: JSON.stringify({ query: '{ open { free bound } }' }) })
    expect(answer.json.data).toEqual({ open: { free: 1, bound: null } })
    expect(codes(answer)).toEqual({ 'open.bound': 'UNAUTHENTICATED' })
  })

  it('is reached by operations only: no page, no GET', async () => {
    await open({ yoga: { graphiql: true } })
    expect((await ask({ method: 'GET', path: '/graphql?query=%7Bhealth%7D' })).status).toBe(401)
    expect((await ask({ method: 'GET', headers: { accept: 'text/html' } })).status).toBe(401)
  })
})

describe('a code-first schema', () => {
  const schema = (rule: FieldAccess): GraphQLSchema =>
    new GraphQLSchema({
      query: new GraphQLObjectType({
        name: 'Query',
        fields: {
          a: { type: GraphQLString, extensions: access(rule), resolve: () => 'a' },
          b: { type: new GraphQLNonNull(GraphQLString), resolve: () => 'b' },
        },
      }),
    })

  it.each<[string, FieldAccess, boolean]>([
    ['authenticated', { authenticated: true }, true],
    ['scopes', { scopes: [['admin']] }, false],
    ['scopes that are there', { scopes: [['admin'], ['read']] }, true],
    ['a policy', { policies: [['never']] }, false],
    ['a rule of its own', { authorize: () => forbid('no') }, false],
    ['all together', { authenticated: true, scopes: [['read']], policies: [['always']], authorize: () => granted }, true],
    [
      'all together but one',
      { authenticated: true, scopes: [['read']], policies: [['always'], ['never']], authorize: () => forbid('no') },
      false,
    ],
  ])('has the same rules: %s', async (_, rule, allowed) => {
    await open({ policies: { never: () => forbid('never'), always: () => granted }, yoga: { schema: schema(rule) } })
    expect((await run('{ a b }', 'read')).json.data).toEqual({ a: allowed ? 'a' : null, b: 'b' })
  })

  it('takes a guard, which may change', async () => {
    const own = guard({ authenticate: mechanism, clock, authorize: () => granted })
    await open({ yoga: { schema: schema({ guard: own }) } })
    expect((await run('{ a }')).json.data).toEqual({ a: 'a' })
    own.change({ authorize: () => forbid('now') })
    expect((await run('{ a }')).json.data).toEqual({ a: null })
  })

  it('is copied: the same schema under another guard has other rules', async () => {
    const one = schema({ scopes: [['read']] })
    await open({ yoga: { schema: one } })
    const other = await serve({ tls, port: 0, guard: policy(), yoga: { schema: one } })
    expect((await run('{ a }', 'read')).json.data).toEqual({ a: 'a' })
    await other.close({ graceMs: 0 })
    const own = one.getQueryType()?.getFields()['a']
    expect(own?.resolve?.({}, {}, {}, {} as never)).toBe('a')
  })
})

describe('a schema is refused when it is taken, for', () => {
  const build =
    (sdl: string, more: object = {}): (() => unknown) =>
    () =>
      graphql({ guard: guard({ authenticate: mechanism }), policies: {}, ...more, yoga: { schema: createSchema({ typeDefs: sdl }) } })

  it.each([
    ['a policy without a rule', `${accessDirectives} type Query { a: Int @policy(policies: [["nobody"]]) }`],
    ['a policy called like a member of every object', `${accessDirectives} type Query { a: Int @policy(policies: [["constructor"]]) }`],
    ['an empty list of scopes', `${accessDirectives} type Query { a: Int @requiresScopes(scopes: []) }`],
    ['an empty alternative', `${accessDirectives} type Query { a: Int @requiresScopes(scopes: [["a"], []]) }`],
    ['an empty scope', `${accessDirectives} type Query { a: Int @requiresScopes(scopes: [[""]]) }`],
    ['a directive that does not exist', `${accessDirectives} type Query { a: Int @authentcated }`],
    ['a directive without its definition', 'type Query { a: Int @authenticated }'],
    ['a rule on an argument', `${accessDirectives} type Query { a(b: Int @authenticated): Int }`],
    ['a rule on an input field', `${accessDirectives} input I { b: Int @authenticated } type Query { a(i: I): Int }`],
    ['a rule on an enum value', `${accessDirectives} enum E { A @authenticated } type Query { e: E }`],
    ['@everyone below the root', `${accessDirectives} type T { x: Int @everyone } type Query { t: T }`],
    ['@everyone with a rule beside it', `${accessDirectives} type Query { a: Int @everyone @authenticated }`],
  ])('%s', (_, sdl) => {
    expect(build(sdl)).toThrow()
  })

  it('extensions that say nothing, or something unknown', () => {
    const code =
      (rule: unknown): (() => unknown) =>
      () =>
        access(rule as FieldAccess)
    expect(code({ scopes: [] })).toThrow(expect.objectContaining({ code: 'ERR_GRAPHQL_RULE_INVALID' }))
    expect(code({ scopes: [[]] })).toThrow(expect.objectContaining({ code: 'ERR_GRAPHQL_RULE_INVALID' }))
    expect(code({ scopes: undefined })).toThrow(expect.objectContaining({ code: 'ERR_GRAPHQL_RULE_INVALID' }))
    expect(code({ authenticated: false })).toThrow(expect.objectContaining({ code: 'ERR_GRAPHQL_RULE_INVALID' }))
    expect(code({ scope: [['a']] })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
    expect(code({ guard: everyone() })).toThrow(expect.objectContaining({ code: 'ERR_GUARD_MISSING' }))
  })

  it('options that are misspelt or missing', () => {
    const plain = 'type Query { a: Int }'
    expect(build(plain, { polices: {} })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_UNKNOWN' }))
    expect(build(plain, { guard: undefined })).toThrow(expect.objectContaining({ code: 'ERR_GUARD_MISSING' }))
    expect(build(plain, { limits: { maxDepth: 0 } })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(build(plain, { limits: { maxDepth: Number.NaN } })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(build(plain, { introspection: '' })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(build(plain, { sockets: { origins: [] } })).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(build(plain, { sockets: { origins: ['https://shop.example/'] } })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_INVALID' }),
    )
  })
})
