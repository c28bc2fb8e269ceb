import { errors } from 'oidc-provider'
import { userOf } from '../password-check.ts'
import { invalidGrant } from '../refusal.ts'
import type { Service, TokenContext } from '../service.ts'
import { audienceFor, clientFor, issue, scopesFor } from './issue.ts'

/** A token for a user whose password the client has (RFC 6749 section 4.3; RFC 9700 section 2.4 on why not). */
export async function passwordGrant(service: Service, context: TokenContext): Promise<void> {
  const client = await clientFor(service, context, 'password')
  const audience = audienceFor(service, context, client)
  const { username, password } = context.oidc.params
  if (!username || !password || service.users === undefined) throw new errors.InvalidRequest('username and password are required')
  const user = await userOf(service.users, username, password, service.channelOf(context.req))
  if (user === undefined) throw invalidGrant('the user store refused')
  await refuseClientNames(service, user.subject)
  await issue(service, context, {
    grant: 'password',
    client,
    audience,
    scopes: scopesFor(context, client, audience, user.scopes),
    subject: user.subject,
    refreshable: true,
    ...(user.expiresAt && { notAfterMs: user.expiresAt.getTime() }),
  })
}

/** Refuses a subject that has the name of a client: a service could not tell the two apart (RFC 9068 section 5). */
export async function refuseClientNames(service: Service, subject: string): Promise<void> {
  if ((await service.client(subject)) !== undefined) throw invalidGrant('the subject has the name of a client')
}
