import { createSchema } from 'graphql-yoga'
import { GraphQLInt, GraphQLObjectType, GraphQLSchema } from 'graphql'
import { afterEach, describe, expect, it } from 'vitest'
import { access } from './index.ts'
import { open, ran, run, server } from './scene.test-support.ts'

afterEach(() => server.close({ graceMs: 0 }))

const nested = (depth: number): string => (depth === 1 ? 'name' : `boss { ${nested(depth - 1)} }`)
const doubling = (count: number): string =>
  `{ user { ...F0 } } ${Array.from({ length: count }, (_, at) => `fragment F${at} on User { x${at}: name ${at + 1 < count ? `...F${at + 1} ...F${at + 1}` : ''} }`).join(' ')}`

describe('an operation beyond a limit is answered with 400 before anything is resolved', () => {
  it.each([
    ['tokens', `{ ${'hello '.repeat(2_001)} }`, 'more than 2000 tokens'],
    ['depth', `{ user { ${nested(12)} } }`, 'deeper than 12'],
    [
      'depth in fragments',
      `{ user { ...A } } fragment A on User { boss { boss { boss { boss { boss { boss { ...B } } } } } } } fragment B on User { ${nested(6)} }`,
      'deeper than 12',
    ],
    ['aliases', `{ ${Array.from({ length: 31 }, (_, at) => `a${at}: hello`).join(' ')} }`, 'more than 30 aliases'],
    ['aliases that fragments multiply', doubling(8), 'more than 30 aliases'],
    ['directives', `{ hello ${'@skip(if: false) '.repeat(51)} }`, 'more than 50 directives'],
    ['complexity', `{ user { ${'name '.repeat(1_001)} } }`, 'more complex than 1000'],
    ['a fragment within itself', '{ user { ...F } } fragment F on User { boss { ...F } }', 'within itself'],
  ])('%s', async (_, query, message) => {
    await open()
    const answer = await run(query)
    expect(answer.status).toBe(400)
    expect(answer.json.errors).toMatchObject([{ message: expect.stringContaining(message), extensions: { code: 'LIMIT_EXCEEDED' } }])
    expect(ran).toEqual([])
  })

  it('also where the text is small and what it asks for is not, in no time', async () => {
    await open()
    const answer = await run(doubling(150))
    expect(answer.status).toBe(400)
  })

  it('and one within them is answered', async () => {
    await open()
    expect((await run(`{ user { ${nested(11)} } }`)).status).toBe(200)
    expect((await run(`{ ${Array.from({ length: 30 }, (_, at) => `a${at}: hello`).join(' ')} }`)).status).toBe(200)
  })

  it('by limits of its own', async () => {
    await open({ limits: { maxDepth: 1, maxComplexity: 2 } })
    expect((await run('{ user { name } }')).status).toBe(400)
    expect((await run('{ hello salary required }')).status).toBe(400)
    expect((await run('{ hello salary }')).status).toBe(200)
  })

  it('by what fields cost', async () => {
    const schema = new GraphQLSchema({
      query: new GraphQLObjectType({
        name: 'Query',
        fields: {
          dear: { type: GraphQLInt, extensions: access({ complexity: 600 }), resolve: () => 1 },
          cheap: { type: GraphQLInt, resolve: () => 1 },
        },
      }),
    })
    await open({ yoga: { schema } })
    expect((await run('{ dear cheap }')).status).toBe(200)
    expect((await run('{ dear again: dear }')).status).toBe(400)
    expect((await run('{ ...F ...F } fragment F on Query { dear }')).status).toBe(400)
  })

  it('with the same answer when it comes again, from the cache of the server', async () => {
    await open({ yoga: { schema: createSchema({ typeDefs: 'type Query { a: Int }' }) } })
    const query = `{ ${Array.from({ length: 31 }, (_, at) => `a${at}: a`).join(' ')} }`
    for (let time = 0; time < 3; time++) expect((await run(query)).status).toBe(400)
  })
})
