import { buildClientSchema, getIntrospectionQuery, printSchema, type IntrospectionQuery } from 'graphql'
import { afterEach, describe, expect, it } from 'vitest'
import { codes, events, open, run, server } from './scene.test-support.ts'

afterEach(() => server.close({ graceMs: 0 }))

async function seen(scopes: string): Promise<string> {
  const answer = await run(getIntrospectionQuery(), scopes)
  expect(answer.json.errors).toBeUndefined()
  return printSchema(buildClientSchema(answer.json.data as unknown as IntrospectionQuery))
}

describe('introspection', () => {
  it('shows to each caller what it may see', async () => {
    await open()
    const little = await seen('')
    expect(little).toContain('hello: String')
    expect(little).not.toMatch(/salary|Secret|plan|Hidden|Memo|memo|Rank|HIGH|required|secretTicks|detail|order/)
    expect(little).toContain('count: Int')
    expect(little).not.toContain('pay: Int')
    const more = await seen('admin~nodes~secret~hidden~ranks~pay~ticks~detail')
    for (const name of ['salary', 'Secret', 'plan', 'Hidden', 'Memo', 'HIGH', 'required', 'secretTicks', 'detail', 'pay'])
      expect(more).toContain(name)
    // And the first caller's view is still the first caller's.
    expect(await seen('')).toBe(little)
  })

  it.each([
    ['by name', '{ __type(name: "Secret") { name fields { name } } }'],
    ['by an alias', '{ x: __type(name: "Secret") { name } }'],
    ['in a fragment', 'fragment F on Query { __type(name: "Secret") { name } } { ...F }'],
    ['as a possible type', '{ __type(name: "Anything") { possibleTypes { name } } }'],
    ['as an implementation', '{ __type(name: "Node") { possibleTypes { name } } }'],
  ])('does not tell of a hidden type %s', async (_, query) => {
    await open()
    expect((await run(query)).text).not.toContain('Secret"')
    expect((await run(query, 'secret~nodes')).text).toContain('Secret"')
  })

  it.each([
    ['at the root', '{ hello __schema { queryType { name } } }'],
    ['where the root is reached again', '{ user { self { __schema { queryType { name } } } } }'],
    ['in another operation', 'query A { hello } query B { __schema { queryType { name } } }'],
  ])('does not come together with data: %s', async (_, query) => {
    await open()
    const answer = await run(query)
    expect(answer.status).toBe(400)
    expect(codes(answer)).toEqual({ '': 'LIMIT_EXCEEDED' })
  })

  it('asks rules without making decisions of them', async () => {
    await open()
    await run('{ __schema { queryType { name } } }')
    expect(events.map((event) => event.type === 'decision' && event.resource)).toEqual(['/graphql'])
  })

  it('can be refused altogether', async () => {
    await open({ introspection: 'none' })
    for (const query of [
      '{ __schema { types { name } } }',
      '{ x: __type(name: "User") { name } }',
      '{ user { self { __type(name: "User") { name } } } }',
    ]) {
      const answer = await run(query, 'admin')
      expect(answer.status).toBe(400)
      expect(answer.json).toMatchObject({ errors: [{ message: 'Introspection is not allowed here.' }] })
    }
    expect((await run('{ __typename user { __typename } }')).json.data).toEqual({ __typename: 'Query', user: { __typename: 'User' } })
  })
})
