import { formatAuthorization, requireFunction, type Credential, type CredentialSource } from '@portcullis/core'
import { createVerifier, type Algorithm, type JwtClaims, type KeysOption, type Verifier } from '@portcullis/jwt'
import { withoutExpiry } from '@portcullis/jwt/danger'
import * as oauth from 'oauth4webapi'
import { answerError } from './answer-error.ts'
import type { AuthorizationServer } from './authorization-server.ts'
import { requireClient, type ClientAuthentication } from './client-authentication.ts'
import { mistake, outage } from './errors.ts'
import { clientAuth } from './token-request.ts'

/** Who asks, and how the answer is to come. */
export interface IntrospectionCallOptions {
  /** This service as the authorization server knows it. */
  readonly client?: ClientAuthentication
  /** In place of `client`: a source of tokens that authenticate the call (O-16), made for the origin of the endpoint. */
  readonly credentials?: CredentialSource
  /** What kind of token to look for first (RFC 7662 section 2.1). */
  readonly tokenTypeHint?: string
  /** Takes signed answers only (RFC 9701). */
  readonly signedAnswers?: SignedAnswersOptions
}

/** What a signed answer must be. */
export interface SignedAnswersOptions {
  /** Default: the key set of the authorization server. */
  readonly keys?: KeysOption
  readonly algorithms?: readonly [Algorithm, ...Algorithm[]]
  /** Whom the answer is for. Default: the client's identifier (RFC 9701 section 5). */
  readonly audience?: string
}

/** Asks the introspection endpoint about one token: its whole answer, `active` or not. Rejects with outages only. */
export type IntrospectionCall = (
  token: string,
  parameters: readonly (readonly [string, string])[],
  signal: AbortSignal,
) => Promise<JwtClaims & { readonly active: boolean }>

// An answer is made for this very question; five minutes are for clocks (RFC 9701 section 5 has iat and no exp).
const signedAnswerAgeSeconds = 300

/** Makes the call of one configuration. */
export function introspectionCall(where: string, server: AuthorizationServer, options: IntrospectionCallOptions): IntrospectionCall {
  const { client, credentials, tokenTypeHint, signedAnswers } = options
  if ((client === undefined) === (credentials === undefined))
    throw mistake(
      'ERR_OPTION_MISSING',
      `${where} needs either a client or credentials: an endpoint that answers everybody tells tokens apart for everybody (RFC 7662 section 4).`,
    )
  if (client !== undefined) requireClient(where, client)
  if (credentials !== undefined) requireFunction(`${where} credentials`, credentials)
  const verifier = signedAnswers === undefined ? undefined : signedAnswersVerifier(where, server, signedAnswers, client)
  const registered: oauth.Client = {
    client_id: client?.clientId ?? 'none',
    use_mtls_endpoint_aliases: client?.method === 'tls_client_auth',
  }

  return async (token, parameters, signal) => {
    try {
      const metadata = await server.metadata('introspection', signal)
      const ask = (authenticate: oauth.ClientAuth): Promise<Response> =>
        oauth.introspectionRequest(metadata, registered, authenticate, token, {
          ...server.callOptions(signal),
          requestJwtResponse: verifier !== undefined,
          additionalParameters: new URLSearchParams([
            ...parameters.map(([name, value]): [string, string] => [name, value]),
            ...(tokenTypeHint === undefined ? [] : [['token_type_hint', tokenTypeHint] as [string, string]]),
          ]),
        })
      const response =
        credentials === undefined
          ? await ask(clientAuth(server, client))
          : await askWithToken(credentials, metadata.introspection_endpoint ?? '', signal, ask)
      if (verifier !== undefined) return await readSigned(server, await verifier(metadata), response)
      return await oauth.processIntrospectionResponse(metadata, registered, response)
    } catch (error) {
      if (signal.aborted) throw error
      throw answerError(server.issuer, error)
    }
  }
}

async function askWithToken(
  credentials: CredentialSource,
  endpoint: string,
  signal: AbortSignal,
  ask: (authenticate: oauth.ClientAuth) => Promise<Response>,
): Promise<Response> {
  const target = { origin: new URL(endpoint).origin, secure: true }
  const attempt = async (refused?: Credential): Promise<{ readonly credential: Credential; readonly response: Response }> => {
    const { credential } = await credentials({ target, signal, ...(refused !== undefined && { refused }) })
    const value = formatAuthorization(credential)
    if (value === undefined)
      throw mistake('ERR_OPTION_INVALID', `A credential of kind "${credential.kind}" does not go to an introspection endpoint.`)
    return { credential, response: await ask((_server, _client, _body, headers) => headers.set('authorization', value)) }
  }
  const first = await attempt()
  return first.response.status === 401 ? (await attempt(first.credential)).response : first.response
}

function signedAnswersVerifier(
  where: string,
  server: AuthorizationServer,
  { keys, algorithms, audience }: SignedAnswersOptions,
  client: ClientAuthentication | undefined,
): (metadata: oauth.AuthorizationServer) => Promise<Verifier> {
  const recipient = audience ?? client?.clientId
  if (recipient === undefined) throw mistake('ERR_OPTION_MISSING', `${where} signedAnswers needs an audience where there is no client.`)
  if (keys === undefined) server.requireEndpoint(`${where} signedAnswers`, 'jwks')
  const make = (from: KeysOption): Verifier =>
    createVerifier({
      issuer: server.issuer,
      audience: recipient,
      keys: from,
      typ: 'token-introspection+jwt',
      maxAgeSeconds: signedAnswerAgeSeconds,
      clockToleranceSeconds: 5,
      expiry: withoutExpiry,
      clock: server.clock,
      ...(algorithms !== undefined && { algorithms }),
    })
  let made = keys === undefined ? undefined : make(keys)
  return async () =>
    (made ??= make({ jwksUri: (await server.metadata('jwks')).jwks_uri ?? '', fetch: (url, request) => server.transport(url, request) }))
}

async function readSigned(
  server: AuthorizationServer,
  verifier: Verifier,
  response: Response,
): Promise<JwtClaims & { readonly active: boolean }> {
  // What is no signed answer has no say, an inactive one neither: whoever can strip a signature could end every session.
  if (response.status !== 200) return oauth.processIntrospectionResponse({ issuer: server.issuer }, { client_id: 'none' }, response)
  const result = await verifier.verify(await response.text())
  if ('refused' in result)
    throw outage('ERR_OAUTH_ANSWER_INVALID', `The signed answer of ${server.issuer} does not hold: ${result.refused}.`)
  const answer = result.claims['token_introspection']
  if (typeof answer !== 'object' || answer === null || typeof (answer as { readonly active?: unknown }).active !== 'boolean')
    throw outage('ERR_OAUTH_ANSWER_INVALID', `The signed answer of ${server.issuer} says nothing of the token.`)
  return answer as JwtClaims & { readonly active: boolean }
}
