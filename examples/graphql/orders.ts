import type { CredentialSource } from '@portcullis/core'
import { accessDirectives, callerOf } from '@portcullis/graphql'
import { client } from '@portcullis/graphql/client'
import type { ClientTlsBundle } from '@portcullis/tls'
import { createSchema } from 'graphql-yoga'

interface OrderArguments {
  readonly id: string
}

/** What the services of these examples do; they differ in whom they do it for. */
export const schema = createSchema<object>({
  typeDefs: [
    accessDirectives,
    `type Query {
       order(id: ID!): String
       turnover: Int @requiresScopes(scopes: [["orders:audit"]])
     }
     type Subscription {
       order(id: ID!): String
     }`,
  ],
  resolvers: {
    Query: { order: (_source, { id }: OrderArguments, context) => state(id, context), turnover: () => 4711 },
    Subscription: {
      order: {
        // Stays open, and tells each change.
        subscribe: async function* (_source, { id }: OrderArguments, context) {
          yield { order: state(id, context) }
          await new Promise(() => undefined)
        },
      },
    },
  },
})

function state(id: string, context: object): string {
  const caller = callerOf(context)
  return `order ${id} is shipped${caller.kind === 'principal' ? `, ${caller.subject}` : ''}`
}

/** Asks for order 7, and gives the answer; or the code of the error, if it comes to none. */
export async function ask(url: string, tls: ClientTlsBundle, credentials?: CredentialSource): Promise<string> {
  using orders = await client({ url, tls, ...(credentials && { credentials }) })
  try {
    const { data } = await orders.execute<{ readonly order: string }>({ query: '{ order(id: 7) }' })
    return data?.order ?? 'no data'
  } catch (error) {
    return (error as { readonly code: string }).code
  }
}
