import { createSchema } from 'graphql-yoga'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { ask, codes, events, open, ran, resolvers, run, server, typeDefs } from './scene.test-support.ts'

const query = (text: string): string => JSON.stringify({ query: text })

afterEach(() => {
  vi.unstubAllEnvs()
  return server.close({ graceMs: 0 })
})

describe('a request that is refused', () => {
  it.each([
    ['nothing presented', {}, 401, 'UNAUTHENTICATED', 'Bearer realm="tests"'],
    ['a bad token', { token: 'bad' }, 401, 'UNAUTHENTICATED', 'Bearer realm="tests", error="invalid_token"'],
    ['a malformed token', { token: 'a b' }, 400, 'BAD_REQUEST', undefined],
    ['an expired principal', { token: 'alice..0' }, 401, 'UNAUTHENTICATED', 'Bearer realm="tests", error="invalid_token"'],
    ['an outage', { token: 'down' }, 503, 'SERVICE_UNAVAILABLE', undefined],
    ['another scheme', { headers: { authorization: 'Basic YTpi' } }, 401, 'UNAUTHENTICATED', 'Bearer realm="tests"'],
    ['a token in the URL', { path: '/graphql?access_token=alice' }, 401, 'UNAUTHENTICATED', 'Bearer realm="tests"'],
    [
      'a token in the content',
      { body: JSON.stringify({ query: '{ hello }', extensions: { authorization: 'Bearer alice' } }) },
      401,
      'UNAUTHENTICATED',
      'Bearer realm="tests"',
    ],
  ] as const)('for %s has its status, challenge and code', async (_, init, status, code, challenge) => {
    await open()
    const answer = await ask({ body: query('{ hello }'), ...init })
    expect(answer.status).toBe(status)
    if (challenge !== undefined) expect(answer.headers['www-authenticate']).toBe(challenge)
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8')
    expect(answer.headers['cache-control']).toBe('no-store')
    expect(answer.json.errors).toMatchObject([{ extensions: { code } }])
    expect(answer.json).not.toHaveProperty('data')
    expect(answer.text).not.toMatch(/ERR_|down/)
    if (status === 503) expect(answer.headers['retry-after']).toBe('7')
    expect(events.filter(({ type }) => type === 'decision')).toHaveLength(1)
  })

  it('is told in the media type that the client reads', async () => {
    await open()
    const answer = await ask({ body: query('{ hello }'), headers: { accept: 'application/graphql-response+json' } })
    expect(answer.headers['content-type']).toBe('application/graphql-response+json; charset=utf-8')
  })

  it.each([
    ['broken JSON', '{'],
    ['no operation', '{}'],
    ['an unreadable operation', query('{ a')],
    ['one that does not validate', query('{ nothing }')],
    ['one that is too large', query(`{ ${'a '.repeat(3_000)} }`)],
    ['introspection', query('{ __schema { types { name } } }')],
  ])('learns nothing about the endpoint from %s', async (_, body) => {
    await open()
    expect((await ask({ body })).status).toBe(401)
    expect((await ask({ body, token: 'bad' })).status).toBe(401)
  })

  it('is so on every other path and method', async () => {
    await open({ yoga: { graphiql: true } })
    for (const init of [
      { method: 'GET', headers: { accept: 'text/html' } },
      { method: 'GET', path: '/health' },
      { method: 'GET', path: '/' },
      { method: 'PUT' },
      { method: 'OPTIONS' },
    ] as const)
      expect((await ask(init)).status).toBe(401)
  })
})

describe('GraphiQL', () => {
  it('is a page for those who are let in', async () => {
    await open({ yoga: { graphiql: true } })
    const answer = await ask({ method: 'GET', token: 'alice', headers: { accept: 'text/html' } })
    expect(answer.status).toBe(200)
    expect(answer.text).toContain('<html')
  })

  it('is not there unless it was asked for', async () => {
    await open()
    const answer = await ask({ method: 'GET', token: 'alice', headers: { accept: 'text/html' } })
    expect(answer.text).not.toContain('<html')
  })
})

describe('what a foreign page can send without asking', () => {
  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/graphql',
    'application/jsonp',
    '',
  ])('has no effect as a POST of "%s"', async (type) => {
    await open()
    const answer = await ask({ token: 'alice', headers: { 'content-type': type }, body: query('mutation { count }') })
    expect(answer.status).toBe(415)
    expect(ran).toEqual([])
  })

  it('has no effect as a GET', async () => {
    await open()
    for (const path of [
      '/graphql?query=mutation+%7B+count+%7D',
      '/graphql?query=query+A+%7B+hello+%7D+mutation+B+%7B+count+%7D&operationName=B',
    ])
      expect((await ask({ method: 'GET', path, token: 'alice' })).status).toBe(405)
    expect(ran).toEqual([])
    expect((await ask({ method: 'GET', path: '/graphql?query=%7Bhello%7D', token: 'alice' })).json.data).toEqual({ hello: 'hello alice' })
  })

  it('is refused where it brings a cookie', async () => {
    await open()
    const headers = { cookie: 'session=alice', origin: 'https://evil.example' }
    expect((await ask({ headers, body: query('mutation { count }') })).status).toBe(400)
    expect(
      (await ask({ headers: { cookie: 'session=alice', 'sec-fetch-site': 'cross-site' }, body: query('mutation { count }') })).status,
    ).toBe(400)
    expect(ran).toEqual([])
    expect(
      (await ask({ headers: { cookie: 'session=alice', 'sec-fetch-site': 'same-origin' }, body: query('mutation { count }') })).status,
    ).toBe(200)
  })

  it('gets no leave to read the answer', async () => {
    await open()
    const answer = await ask({ token: 'alice', headers: { origin: 'https://evil.example' }, body: query('{ hello }') })
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('cannot name another method', async () => {
    await open()
    expect((await ask({ method: 'GET', path: '/graphql?query=%7Bhello%7D&_method=POST', token: 'alice' })).status).toBe(400)
    expect(
      (await ask({ method: 'GET', path: '/graphql?query=%7Bhello%7D', token: 'alice', headers: { 'x-http-method-override': 'POST' } }))
        .status,
    ).toBe(400)
  })
})

describe('a batch', () => {
  const batch = JSON.stringify([{ query: '{ salary }' }, { query: '{ hello }' }, { query: '{ health }' }])

  it('is refused unless it was allowed', async () => {
    await open()
    expect((await ask({ token: 'alice', body: batch })).status).toBe(400)
  })

  it('is judged operation by operation, and bounded', async () => {
    await open({ yoga: { batching: { limit: 3 } } })
    const answer = await ask({ token: 'alice', body: batch })
    expect(JSON.parse(answer.text)).toMatchObject([
      { data: { salary: null }, errors: [{ extensions: { code: 'FORBIDDEN' } }] },
      { data: { hello: 'hello alice' } },
      { data: { health: 'up' } },
    ])
    expect(ran).toEqual([])
    expect((await ask({ token: 'alice', body: JSON.stringify(Array.from({ length: 4 }, () => ({ query: '{ hello }' }))) })).status).toBe(
      413,
    )
  })

  it('of one who was refused opens nothing but what is open', async () => {
    await open({ yoga: { batching: true } })
    const answer = await ask({ body: batch })
    expect(answer.text).not.toContain('hello alice')
    expect(answer.text).not.toContain('7')
  })
})

describe('a stored operation', () => {
  it('is judged like one that was sent', async () => {
    const store = new Map([['s', '{ salary }']])
    await open({
      yoga: {
        extraParamNames: ['id'],
        plugins: [
          {
            onParams: ({ params, setParams }: { params: { id?: string }; setParams: (params: object) => void }) =>
              setParams({ ...params, query: store.get(params.id ?? '') }),
          } as never,
        ],
      },
    })
    expect(codes(await ask({ token: 'alice', body: JSON.stringify({ id: 's' }) }))).toEqual({ salary: 'FORBIDDEN' })
    expect((await ask({ token: 'alice.admin', body: JSON.stringify({ id: 's' }) })).json.data).toEqual({ salary: 7 })
    expect((await ask({ body: JSON.stringify({ id: 's' }) })).status).toBe(401)
  })
})

it('an answer has all its cookies', async () => {
  const cookies = {
    onResponse({ response }: { readonly response: Response }): void {
      response.headers.append('set-cookie', 'a=1')
      response.headers.append('set-cookie', 'b=2')
    },
  }
  await open({ yoga: { plugins: [cookies] } })
  expect((await run('{ hello }')).headers['set-cookie']).toEqual(['a=1', 'b=2'])
})

describe('an error', () => {
  it.each(['production', 'development'])('of a resolver tells nothing of the inside, also in %s, and is reported', async (mode) => {
    vi.stubEnv('NODE_ENV', mode)
    await open()
    const answer = await run('{ fails }')
    expect(answer.json.data).toEqual({ fails: null })
    expect(answer.text).not.toMatch(/10\.0\.0\.7|relation|stack/)
    expect(events.filter(({ type }) => type === 'warning')).toMatchObject([
      { code: 'ERR_GRAPHQL_RESOLVER_FAILED', cause: new Error('relation users does not exist at 10.0.0.7') },
    ])
  })

  it.each([
    ['a field', '{ user { salry } }', undefined],
    ['a root field', '{ helo }', undefined],
    ['a type', '{ node { ... on Secrt { id } } }', undefined],
    ['an argument', '{ order(idd: 1) }', undefined],
    ['an enum value', '{ colored(filter: { color: CRIMSN }) }', undefined],
    ['an input field', '{ colored(filter: { colr: CRIMSON }) }', undefined],
    ['an enum value in a variable', 'query ($f: Filter) { colored(filter: $f) }', { f: { color: 'CRIMSN' } }],
    ['an input field in a variable', 'query ($f: Filter) { colored(filter: $f) }', { f: { colr: 'x' } }],
  ])('guesses no name for %s that does not exist', async (_, text, variables) => {
    await open()
    const answer = await run(text, '', variables)
    expect(answer.json.errors?.length).toBeGreaterThan(0)
    expect(answer.text).not.toMatch(/did you mean/i)
    expect(answer.text).not.toMatch(/salary|Secret|"hello"|CRIMSON|color"/)
  })
})

describe('the context of a resolver', () => {
  it('has the caller from the plugin, and nothing that came from the peer', async () => {
    await open({
      yoga: {
        schema: createSchema({
          typeDefs,
          resolvers: {
            ...resolvers,
            Query: {
              ...resolvers.Query,
              hello: (_source: unknown, _args: unknown, context: object) => Object.keys(context).toSorted().join(' '),
            },
          },
        }) as never,
      },
    })
    expect((await run('{ hello }')).json.data).toEqual({ hello: 'params request waitUntil' })
  })
})
