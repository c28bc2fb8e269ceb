import { checkOptions, requireText } from '@portcullis/core'
import { requireClient, type ClientAuthentication } from './client-authentication.ts'
import { outage } from './errors.ts'
import { secretReader, type SecretInput } from './secret-input.ts'
import type { TokenAnswer } from './token-request.ts'
import { checkGrantOptions, tokenSource, type Ask, type GrantOptions, type TokenSource } from './token-source.ts'

/** The types of tokens that RFC 8693 section 3 names, without their common beginning. */
export type TokenType = 'access_token' | 'refresh_token' | 'id_token' | 'saml1' | 'saml2' | 'jwt'

/** A token of somebody. */
export interface PartyToken {
  readonly token: SecretInput
  /** Default: `access_token`. */
  readonly type?: TokenType
}

/** How {@link tokenExchange} is set up. */
export interface TokenExchangeOptions extends GrantOptions {
  readonly client: ClientAuthentication
  /** On whose behalf the new token is. */
  readonly subject: PartyToken
  /** Who acts for the subject (delegation, RFC 8693 section 1.1). Without one, the new token speaks as the subject itself, if the server lets it (impersonation). */
  readonly actor?: PartyToken
  /** Default: an access token. */
  readonly requestedType?: 'access_token' | 'jwt'
}

const grantType = 'urn:ietf:params:oauth:grant-type:token-exchange'
const typePrefix = 'urn:ietf:params:oauth:token-type:'
const usable: ReadonlySet<string> = new Set([`${typePrefix}access_token`, `${typePrefix}jwt`])

/**
 * A source of tokens that an authorization server issues in exchange for one at hand (RFC 8693). For the tokens of
 * callers use `propagated()`, which is told with each call who they are.
 *
 * Who may act for whom is decided by the server. An answer that is no access token is refused (`ERR_OAUTH_TOKEN_TYPE`).
 */
export function tokenExchange(options: TokenExchangeOptions): TokenSource {
  checkGrantOptions<TokenExchangeOptions>('tokenExchange', options, { client: true, subject: true, actor: true, requestedType: true })
  const subject = partyReader('tokenExchange subject', options.subject)
  const actor = options.actor === undefined ? undefined : partyReader('tokenExchange actor', options.actor)
  const { requestedType = 'access_token' } = options
  return tokenSource('tokenExchange', options, requireClient('tokenExchange', options.client), async (ask) =>
    exchange(ask, await subject(), await actor?.(), requestedType),
  )
}

/** A token of somebody, as it is sent. */
export interface Party {
  readonly token: string
  readonly type: string
}

/** One exchange. */
export async function exchange(
  ask: Ask,
  subject: Party,
  actor: Party | undefined,
  requestedType: 'access_token' | 'jwt',
): Promise<TokenAnswer> {
  const answer = await ask(grantType, {
    subject_token: subject.token,
    subject_token_type: subject.type,
    actor_token: actor?.token,
    actor_token_type: actor?.type,
    requested_token_type: `${typePrefix}${requestedType}`,
  })
  // RFC 8693 section 2.2.1 makes it mandatory: what came may be for other uses than a request's credential.
  if (!usable.has(answer.issuedTokenType ?? ''))
    throw outage('ERR_OAUTH_TOKEN_TYPE', `The exchange gave a token of type ${answer.issuedTokenType ?? 'unknown'}.`)
  return answer
}

/** Reads the token of a party, each time anew. */
export function partyReader(where: string, party: PartyToken): () => Promise<Party> {
  checkOptions<PartyToken>(where, party, { token: true, type: true })
  const read = secretReader(`${where} token`, party.token)
  const type = `${typePrefix}${requireText(`${where} type`, party.type ?? 'access_token')}`
  return async () => ({ token: (await read()).reveal(), type })
}
