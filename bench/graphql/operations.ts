import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'

import { accessDirectives, guard, serve, type Guard, type Principal } from '@portcullis/graphql'
import { jwt } from '@portcullis/jwt'
import { secureServerOptions } from '@portcullis/tls'
import { createSchema, createYoga } from 'graphql-yoga'

import { measure, type Contender } from '../http/measure.ts'
import { makeScene } from '../http/scene.ts'
import type { RunOptions, Table } from '../table.ts'
import { columns, rowsOf } from '../windows.ts'

const typeDefs = `
  ${accessDirectives}
  type Query { orders: [Order!]! }
  type Order { id: ID! state: String! total: Int }
`
const guarded = typeDefs
  .replace('type Order', 'type Order @authenticated')
  .replace('total: Int', 'total: Int @requiresScopes(scopes: [["orders:read"]])')
const orders = Array.from({ length: 10 }, (_, at) => ({ id: String(at), state: 'shipped', total: at }))
const resolvers = { Query: { orders: () => orders } }
const target = `/graphql?query=${encodeURIComponent('{ orders { id state total } }')}`

/** A query of ten objects: graphql-yoga on Node's own server beside `serve` of `@portcullis/graphql`, which asks who comes. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const { tls, publicKey, issuer, audience, requests } = await makeScene()
  const bare = async (name: string): Promise<Contender> => {
    const yoga = createYoga({ schema: createSchema({ typeDefs, resolvers }), logging: false, graphiql: false, landingPage: false })
    const server = createServer(
      { ...secureServerOptions(tls), keepAliveTimeout: 3_600_000 },
      (request, response) => void yoga(request, response),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return {
      name,
      version: 'http/1.1',
      port: (server.address() as AddressInfo).port,
      close: () => {
        server.close()
        server.closeAllConnections()
        return Promise.resolve()
      },
    }
  }
  const ours = async (name: string, sdl: string, audited: boolean): Promise<Contender> => {
    let seen = 0
    const policy = guard({
      authenticate: jwt({ issuer, audience, keys: { publicKey, keyId: 'k1', algorithms: ['RS256'] } }),
      ...(audited && { audit: () => void seen++ }),
    }) as Guard<Principal>
    const server = await serve({
      tls,
      port: 0,
      guard: policy,
      timeouts: { idleMs: 3_600_000 },
      yoga: { schema: createSchema({ typeDefs: sdl, resolvers }) },
    })
    return { name, version: 'http/1.1', port: server.port, close: () => server.close({ graceMs: 0 }) }
  }
  const base = 'graphql-yoga on node:https'
  const contenders = [
    await bare(base),
    await bare(`${base}, once more`),
    await ours('serve, JWT', typeDefs, false),
    await ours('serve, JWT, a rule on every field', guarded, false),
    await ours('serve, JWT, a rule on every field, audited', guarded, true),
  ]
  const costs = await measure(contenders, { ...requests, path: target }, quick ? 12 : 120)
  return {
    title: 'GraphQL operations',
    note: 'A query of ten objects by GET over TLS 1.3 on loopback, 16 connections, RS256 tokens verified before. The second row is the noise. "A rule on every field" has `@authenticated` on the type and `@requiresScopes` on one of its three fields.',
    columns,
    rows: rowsOf(
      costs,
      contenders.map(({ name }) => ({ name, base })),
    ),
  }
}
