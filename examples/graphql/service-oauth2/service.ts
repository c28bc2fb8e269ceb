import { serve } from '@portcullis/graphql'
import { developmentTls } from '@portcullis/graphql/development'
import { tokensOfService } from '../../mechanisms/oauth2.ts'
import { schema } from '../orders.ts'

/** A GraphQL service that asks the token service about each token. */
export async function start() {
  const tls = await developmentTls()
  const { orders, sts, ...tokens } = await tokensOfService(tls)
  const listener = await serve({ tls, port: 0, guard: orders, yoga: { schema } })
  const close = async (): Promise<void> => {
    await listener.close()
    await sts.close()
  }
  return { ...tokens, tls, url: listener.url, origin: listener.origin, close }
}
