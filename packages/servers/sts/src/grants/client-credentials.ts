import type { Service, TokenContext } from '../service.ts'
import { audienceFor, clientFor, issue, scopesFor } from './issue.ts'

/** A token for the client itself (RFC 6749 section 4.4). */
export async function clientCredentialsGrant(service: Service, context: TokenContext): Promise<void> {
  const client = await clientFor(service, context, 'client_credentials')
  const audience = audienceFor(service, context, client)
  await issue(service, context, { grant: 'client_credentials', client, audience, scopes: scopesFor(context, client, audience) })
}
