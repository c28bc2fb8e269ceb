import { checkOptions, requireFunction } from '@portcullis/core'
import { certificateThumbprint } from '@portcullis/crypto'
import { decodeUnverified, type JwtClaims } from '@portcullis/jwt'
import { errors, type AccessToken, type ClientCredentials } from 'oidc-provider'
import { validateDpop } from 'oidc-provider/lib/helpers/grants.js'
import type { ClientEntry } from '../clients.ts'
import type { StsTokenFacts } from '../events.ts'
import type { Service, TokenContext } from '../service.ts'
import { audienceFor, clientFor, issue, scopesFor } from './issue.ts'
import { verify } from './jwt-bearer.ts'

/** An exchange that a client asks for; every token in it has been verified. */
export interface StsExchange {
  /** Who asks. */
  readonly client: string
  readonly subject: StsTokenFacts
  /** Who is to act for the subject (delegation). Absent: the client asks to be taken for the subject (impersonation). */
  readonly actor: StsTokenFacts | undefined
  /** For whom the new token is. */
  readonly audience: string
  readonly scopes: readonly string[]
}

/** Who may act for whom. */
export interface ExchangePolicy {
  /** Only `true` allows. Asked after the rules that hold always. */
  readonly mayAct: (exchange: StsExchange) => boolean | Promise<boolean>
}

/** Checks the policy of exchanges. */
export function exchangePolicy(policy: ExchangePolicy): ExchangePolicy {
  checkOptions<ExchangePolicy>('createSts exchange', policy, { mayAct: true })
  requireFunction('createSts exchange mayAct', policy.mayAct)
  return policy
}

/** A token of this service that a request presents. */
interface Presented {
  readonly facts: StsTokenFacts
  readonly confirmation: { readonly jkt?: string; readonly 'x5t#S256'?: string } | undefined
  readonly mayAct: unknown
}

const tokenTypes = {
  access: 'urn:ietf:params:oauth:token-type:access_token',
  jwt: 'urn:ietf:params:oauth:token-type:jwt',
} as const
// Services that hand a call on and on; a chain longer than this goes in a circle.
const maxActors = 8

/**
 * A token for a token (RFC 8693). The new one has no scope that the subject's lacks, one audience, and no later end.
 *
 * A client may exchange what was sent to it (`serves`), and what it got itself; of the latter, a token that is bound to
 * a key only with that key. Who may act for whom is then the policy's to say.
 */
export async function tokenExchangeGrant(service: Service, context: TokenContext): Promise<void> {
  const client = await clientFor(service, context, 'token_exchange')
  const audience = audienceFor(service, context, client)
  const { subject_token, subject_token_type, actor_token, actor_token_type, requested_token_type } = context.oidc.params
  if (!subject_token || !subject_token_type) throw new errors.InvalidRequest('subject_token and subject_token_type are required')
  if ((actor_token === undefined) !== (actor_token_type === undefined))
    throw new errors.InvalidRequest('actor_token and actor_token_type come together')
  if (requested_token_type !== undefined && !isTokenType(requested_token_type))
    throw new errors.InvalidRequest('only access tokens are issued')
  if (requested_token_type === tokenTypes.jwt && audience.format !== 'jwt') throw new errors.InvalidRequest('the audience takes no JWT')
  const subject = await presented(service, subject_token, subject_token_type)
  await checkHolder(service, context, client, subject)
  const actor =
    actor_token === undefined || actor_token_type === undefined ? undefined : await presented(service, actor_token, actor_token_type)
  // An actor's token that somebody else got would let a service act in the name of its callers.
  if (actor !== undefined && actor.facts.client !== client.id) throw unacceptable('the actor token is not the client’s own')
  if (actor !== undefined) await checkHolder(service, context, client, actor)
  checkMayAct(subject.mayAct, actor?.facts, client)

  const scopes = scopesFor(context, client, audience, new Set(subject.facts.scopes))
  const exchange = Object.freeze({ client: client.id, subject: subject.facts, actor: actor?.facts, audience: audience.name, scopes })
  if ((await service.exchange?.mayAct(exchange)) !== true) throw unacceptable('the policy does not allow this exchange')
  const act = actsOf(subject.facts, actor?.facts)
  await issue(service, context, {
    grant: 'token_exchange',
    client,
    audience,
    scopes,
    subject: subject.facts.subject,
    notAfterMs: Math.min(subject.facts.expiresAt.getTime(), actor?.facts.expiresAt.getTime() ?? Number.POSITIVE_INFINITY),
    issuedTokenType: requested_token_type ?? tokenTypes.access,
    ...(act !== undefined && { act }),
  })
}

/** RFC 8693 section 2.2.2 has this code for tokens that are not valid as for those that the policy does not take. */
function unacceptable(detail: string): Error {
  return new errors.InvalidRequest('the tokens are not acceptable', 400, { detail })
}

function isTokenType(type: string): boolean {
  return type === tokenTypes.access || type === tokenTypes.jwt
}

/** Reads a token of this service, of either form. Tokens of others come by the JWT assertion grant. */
async function presented(service: Service, token: string, type: string): Promise<Presented> {
  if (!isTokenType(type)) throw new errors.InvalidRequest('only access tokens are exchanged')
  return looksSigned(token) ? fromJwt((await verify(service.own(), token, unacceptable)).claims) : fromStored(service, token)
}

function looksSigned(token: string): boolean {
  try {
    decodeUnverified(token)
    return true
  } catch {
    return false
  }
}

function fromJwt(claims: JwtClaims): Presented {
  const { sub = '', aud = [], exp = 0, scope, client_id: client, act, cnf, may_act: mayAct } = claims
  return {
    facts: {
      subject: sub,
      client: typeof client === 'string' ? client : '',
      audiences: typeof aud === 'string' ? [aud] : aud,
      scopes: typeof scope === 'string' ? scope.split(' ') : [],
      expiresAt: new Date(exp * 1000),
      ...(isRecord(act) && { act }),
    },
    confirmation: isRecord(cnf) ? cnf : undefined,
    mayAct,
  }
}

async function fromStored({ provider }: Service, value: string): Promise<Presented> {
  const token: AccessToken | ClientCredentials | undefined =
    (await provider.AccessToken.find(value)) ?? (await provider.ClientCredentials.find(value))
  if (token?.isValid !== true) throw unacceptable('the token is not active')
  // The login that it came from has ended.
  const grantId = token.kind === 'AccessToken' ? token.grantId : undefined
  if (grantId !== undefined && (await provider.Grant.find(grantId)) === undefined) throw unacceptable('the token was revoked')
  const { jkt, 'x5t#S256': x5t, extra = {} } = token
  const act = extra['act']
  return {
    facts: {
      subject: token.kind === 'AccessToken' ? token.accountId : (token.clientId ?? ''),
      client: token.clientId ?? '',
      audiences: typeof token.aud === 'string' ? [token.aud] : (token.aud ?? []),
      scopes: token.scope?.split(' ') ?? [],
      expiresAt: new Date((token.exp ?? 0) * 1000),
      ...(isRecord(act) && { act }),
    },
    confirmation: jkt === undefined && x5t === undefined ? undefined : { ...(jkt && { jkt }), ...(x5t && { 'x5t#S256': x5t }) },
    mayAct: extra['may_act'],
  }
}

async function checkHolder(
  service: Service,
  context: TokenContext,
  client: ClientEntry,
  { facts, confirmation }: Presented,
): Promise<void> {
  if (facts.audiences.some((audience) => client.serves.has(audience))) return
  if (facts.client !== client.id) throw unacceptable('the token was neither sent to the client nor issued to it')
  if (confirmation === undefined) return
  const proof = await validateDpop(service.provider, context)
  const certificate = service.channelOf(context.req).certificate
  const isHolder =
    (confirmation.jkt === undefined || confirmation.jkt === proof?.thumbprint) &&
    (confirmation['x5t#S256'] === undefined ||
      (certificate !== undefined && confirmation['x5t#S256'] === certificateThumbprint(certificate.der)))
  if (!isHolder) throw unacceptable('the token is bound to a key that the client has not shown')
}

/** A token may name the only party that acts for its subject (RFC 8693 section 4.4). */
function checkMayAct(mayAct: unknown, actor: StsTokenFacts | undefined, client: ClientEntry): void {
  if (mayAct === undefined) return
  const name = actor?.subject ?? client.id
  if (!isRecord(mayAct) || mayAct['sub'] !== name) throw unacceptable('the subject token names another actor')
}

/** Who acts, and who has acted before: nothing of the chain is lost, with a new actor or without. */
function actsOf({ act: before }: StsTokenFacts, actor: StsTokenFacts | undefined): Readonly<Record<string, unknown>> | undefined {
  if (actor === undefined) return before
  const act = { sub: actor.subject, ...(before !== undefined && { act: before }) }
  let depth = 0
  for (let one: unknown = act; isRecord(one); one = one['act']) depth++
  if (depth > maxActors) throw unacceptable('too many actors, one behind the other')
  return act
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
