import { client, json, serve, type CredentialSource } from '@portcullis/http'
import { developmentTls } from '@portcullis/http/development'
import { oneClaimSet } from '../../mechanisms/one-claim-set.ts'
import { show } from '../../show.ts'

const tls = await developmentTls()
const { admins, signed } = oneClaimSet()
await using server = await serve({ tls, port: 0, guard: admins }, (_request, principal) => json({ hello: principal.subject }))
const get = async (credentials?: CredentialSource): Promise<unknown> => {
  using call = await client({ tls: tls.client, ...(credentials && { credentials }) })
  const answer = await call(server.origin)
  return answer.ok ? await answer.json() : answer.status
}
show('with the claims', await get(signed(server.origin)), { hello: 'ballerina' })
show('with another scp', await get(signed(server.origin, 'guest')), 403)
show('without a token', await get(), 401)
