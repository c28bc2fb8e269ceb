import { errors, type AccessToken, type ClientCredentials } from 'oidc-provider'
import {
  applyRefreshTokenBindings,
  buildTokenResponse,
  checkDpopReplay,
  checkDpopRequired,
  checkMtlsCert,
  validateDpop,
} from 'oidc-provider/lib/helpers/grants.js'
import type { Audience } from '../audiences.ts'
import type { ClientEntry } from '../clients.ts'
import { invalidGrant, unauthorizedClient } from '../refusal.ts'
import type { Service, TokenContext } from '../service.ts'
import type { StsGrant } from './grant.ts'

/** A request for a token, once the grant itself has been judged. */
export interface Issue {
  readonly grant: StsGrant
  readonly client: ClientEntry
  readonly audience: Audience
  readonly scopes: readonly string[]
  /** Whom the token speaks of. Absent: the client itself. */
  readonly subject?: string
  /** When that which it is given for ends. */
  readonly notAfterMs?: number
  readonly act?: Readonly<Record<string, unknown>>
  /** Whether the client gets a refresh token along, if it may have one. */
  readonly refreshable?: boolean
  /** Further members of the answer. */
  readonly issuedTokenType?: string
}

/** The client of a request, if it may use this grant. */
export async function clientFor(service: Service, context: TokenContext, grant: StsGrant): Promise<ClientEntry> {
  const client = await service.client(context.oidc.client.clientId)
  if (client?.grants.has(grant) !== true) throw unauthorizedClient(`the client may not use the grant ${grant}`)
  return client
}

/** For whom a token is: the one that is named (RFC 8707, RFC 8693), or the only one that the client has. */
export function audienceFor(service: Service, { oidc: { params } }: TokenContext, client: ClientEntry): Audience {
  const { resource, audience } = params
  if (resource !== undefined && audience !== undefined && resource !== audience)
    throw new errors.InvalidTarget('a token has one audience; name it once')
  const named = resource ?? audience ?? (client.audiences.length === 1 ? client.audiences[0] : undefined)
  if (typeof named !== 'string') throw new errors.InvalidTarget('name one audience')
  const found = client.audiences.includes(named) ? service.audiences.get(named) : undefined
  if (found === undefined) throw new errors.InvalidTarget('the audience is unknown, or not one of the client')
  return found
}

/**
 * The scopes of a token: those asked for, or else all, that the client, the audience and (where given) the subject have.
 * A scope beyond the client's is an error; beyond the subject's it is left out, which the answer tells (RFC 6749 section 3.3).
 */
export function scopesFor(
  { oidc: { params } }: TokenContext,
  client: ClientEntry,
  audience: Audience,
  subject?: ReadonlySet<string>,
): readonly string[] {
  const asked = params.scope === undefined ? undefined : [...new Set(params.scope.split(' '))]
  const allowed = [...client.scopes].filter((scope) => audience.scopes.has(scope))
  const beyond = asked?.find((scope) => !allowed.includes(scope))
  if (beyond !== undefined) throw new errors.InvalidScope('the client may not have this scope for this audience', beyond)
  const scopes = (asked ?? allowed).filter((scope) => subject === undefined || subject.has(scope))
  if (asked !== undefined && scopes.length === 0) throw new errors.InvalidScope('the subject has none of these scopes', asked.join(' '))
  return scopes
}

/** Issues the token, bound to the key or certificate that the client has shown, and answers. */
export async function issue(service: Service, context: TokenContext, request: Issue): Promise<void> {
  const { provider } = service
  const { grant, client, audience, subject } = request
  const lifetimeSeconds = Math.min(audience.lifetimeSeconds, secondsUntil(request.notAfterMs))
  if (lifetimeSeconds < 1) throw invalidGrant('what the token is for has expired')
  const proof = await validateDpop(provider, context)
  const certificate = checkMtlsCert(provider, context)
  checkDpopRequired(provider, context, proof)
  await checkDpopReplay(provider, context, proof, client.id)
  const resourceServer = new provider.ResourceServer(audience.name, service.resource(audience, client))
  service.note(context, { grant, ...(request.act && { act: request.act }) })

  const common = { client: context.oidc.client, resourceServer, expiresIn: lifetimeSeconds, scope: request.scopes.join(' ') }
  const login = request.refreshable === true && client.grants.has('refresh_token') ? await loginOf(service, context, request) : undefined
  const token: AccessToken | ClientCredentials =
    subject === undefined
      ? new provider.ClientCredentials(common)
      : // The type wants a grant of every access token; the library does without where there is no refresh token.
        new provider.AccessToken({ ...common, accountId: subject, gty: grant, grantId: login?.jti as string })
  if (proof !== undefined) token.setThumbprint('jkt', proof.thumbprint)
  if (certificate !== undefined) token.setThumbprint('x5t', certificate)
  context.oidc.entity(token.kind, token)
  const accessToken = await token.save()
  const refreshToken =
    login && subject !== undefined ? await refreshTokenOf(service, context, request, login.jti, token as AccessToken) : undefined
  context.body = buildTokenResponse(provider, {
    accessToken,
    tokenType: token.tokenType,
    expiresIn: lifetimeSeconds,
    scope: token.scope || undefined,
    refreshToken,
    issuedTokenType: request.issuedTokenType,
  })
}

/** What all tokens of one login stand and fall with. */
async function loginOf(
  { provider, refreshLifetimeSeconds }: Service,
  context: TokenContext,
  request: Issue,
): Promise<{ readonly jti: string }> {
  const login = new provider.Grant({ clientId: request.client.id, accountId: request.subject })
  login.addResourceScope(request.audience.name, request.scopes.join(' '))
  login.exp = Math.floor(Date.now() / 1000) + Math.min(refreshLifetimeSeconds, secondsUntil(request.notAfterMs))
  context.oidc.entity('Grant', login)
  await login.save()
  return login
}

async function refreshTokenOf(
  { provider, refreshLifetimeSeconds }: Service,
  context: TokenContext,
  { subject = '', scopes, audience, grant, notAfterMs }: Issue,
  grantId: string,
  accessToken: AccessToken,
): Promise<string> {
  const token = new provider.RefreshToken({
    client: context.oidc.client,
    accountId: subject,
    grantId,
    gty: grant,
    resource: audience.name,
    rotations: 0,
    scope: scopes.join(' '),
    expiresIn: Math.min(refreshLifetimeSeconds, secondsUntil(notAfterMs)),
  })
  await applyRefreshTokenBindings(provider, context, accessToken, token)
  context.oidc.entity('RefreshToken', token)
  return token.save()
}

function secondsUntil(timeMs: number | undefined): number {
  return timeMs === undefined ? Number.POSITIVE_INFINITY : Math.floor((timeMs - Date.now()) / 1000)
}
