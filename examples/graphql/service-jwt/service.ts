import { serve } from '@portcullis/graphql'
import { developmentTls } from '@portcullis/graphql/development'
import { signedTokens } from '../../mechanisms/jwt.ts'
import { schema } from '../orders.ts'

/** A GraphQL service that verifies tokens by the key of their issuer. */
export async function start() {
  const tls = await developmentTls()
  const { orders, issuer, privateKey } = signedTokens()
  const listener = await serve({ tls, port: 0, guard: orders, yoga: { schema } })
  return { tls, listener, url: listener.url, origin: listener.origin, issuer, privateKey }
}
