import { GraphQLString, type GraphQLFieldConfig } from 'graphql'
import { access, graphql, guard, serve, type Guard } from './index.ts'
import { client } from './client.ts'
import { guardPlugin } from './plugin.ts'

declare const policy: Guard
declare const schema: never

void (() => {
  // @ts-expect-error a listener without a guard
  void serve({ tls: { side: 'server' } as never, port: 0, yoga: { schema } })
  // @ts-expect-error an endpoint without a guard
  graphql({ yoga: { schema } })
  // @ts-expect-error an endpoint without a schema
  graphql({ guard: policy, yoga: {} })
  // @ts-expect-error errors cannot be unmasked
  graphql({ guard: policy, yoga: { schema, maskedErrors: false } })
  // @ts-expect-error a plugin without a guard
  guardPlugin({})
  // @ts-expect-error a client without an address
  void client({})
  // @ts-expect-error an empty list of scopes
  access({ scopes: [] })
  // @ts-expect-error an empty alternative
  access({ scopes: [[]] })
  // @ts-expect-error a misspelt rule
  access({ scope: [['a']] })
  // @ts-expect-error what is not authenticated is simply not named
  access({ authenticated: false })
  // @ts-expect-error a guard is one that guard() made
  access({ guard: { authorize: () => ({ outcome: 'granted' }) } })

  graphql({ guard: policy, yoga: { schema }, sockets: false, introspection: 'none', limits: { maxDepth: 5 } })
  const field: GraphQLFieldConfig<unknown, unknown> = { type: GraphQLString, extensions: access({ scopes: [['a', 'b'], ['c']] }) }
  return [field, guard]
})
