import { everyone, guard, serve } from '@portcullis/graphql'
import { developmentTls } from '@portcullis/graphql/development'
import { schema } from '../orders.ts'

/** A GraphQL service over TLS that is open to everyone. */
export async function start() {
  const tls = await developmentTls()
  const listener = await serve({ tls, port: 0, guard: guard({ authenticate: everyone() }), yoga: { schema } })
  return { tls, listener, url: listener.url }
}
