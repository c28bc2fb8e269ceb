import { serve } from '@portcullis/graphql'
import { developmentTls } from '@portcullis/graphql/development'
import { client, type CredentialSource } from '@portcullis/http'
import { oneClaimSet } from '../../mechanisms/one-claim-set.ts'
import { show } from '../../show.ts'
import { schema } from '../orders.ts'

const tls = await developmentTls()
const { admins, signed } = oneClaimSet()
await using listener = await serve({ tls, port: 0, guard: admins, yoga: { schema } })
// A query is a POST; it needs no client of its own.
const post = async (credentials?: CredentialSource): Promise<unknown> => {
  using call = await client({ tls: tls.client, ...(credentials && { credentials }) })
  const answer = await call(listener.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ query: '{ order(id: 7) }' }),
  })
  return answer.ok ? await answer.json() : answer.status
}
show('with the claims', await post(signed(listener.origin)), { data: { order: 'order 7 is shipped, ballerina' } })
show('with another scp', await post(signed(listener.origin, 'guest')), 403)
show('without a token', await post(), 401)
