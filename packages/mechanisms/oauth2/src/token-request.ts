import { maxAuthorizationLength, secret, type Secret } from '@portcullis/core'
import * as oauth from 'oauth4webapi'
import { answerError } from './answer-error.ts'
import type { AuthorizationServer } from './authorization-server.ts'
import type { ClientAuthentication } from './client-authentication.ts'
import { OAuthRefusal, outage } from './errors.ts'

/** What the token endpoint issued. */
export interface TokenAnswer {
  readonly accessToken: Secret
  /** Absent if the answer does not say. */
  readonly lifetimeSeconds: number | undefined
  readonly refreshToken: Secret | undefined
  /** As the server granted them; absent if they are those asked for (RFC 6749 section 5.1). */
  readonly scope: string | undefined
  readonly issuedTokenType: string | undefined
}

/** Shows possession of a key with each request, the one for the token included (RFC 9449 section 5). */
export interface Prover {
  prove(request: {
    readonly method: string
    readonly uri: string
    readonly token?: Secret
    readonly nonce?: string | undefined
  }): Promise<string>
}

/** One request to the token endpoint. */
export interface TokenRequest {
  readonly server: AuthorizationServer
  /** Absent only where the grant itself says who asks (RFC 7523 section 2.1). */
  readonly client: ClientAuthentication | undefined
  readonly grantType: string
  readonly parameters: URLSearchParams
  readonly prover?: Prover | undefined
  /** Whether the endpoints for mutual TLS are used, where the server has some (RFC 8705 section 5). */
  readonly mutualTls?: boolean
  readonly signal?: AbortSignal | undefined
}

const successes: ReadonlySet<number> = new Set([200, 201])
// What can stand in an Authorization field (RFC 6750 section 2.1).
const token68 = /^[A-Za-z0-9._~+/-]+=*$/

// By server and key: the nonce that the server gave last (RFC 9449 section 8).
const nonces = new WeakMap<Prover, Map<string, string>>()

/** Asks the token endpoint once; twice where it wants a nonce in the proof (RFC 9449 section 8). Rejects with errors of this package only. */
export async function requestToken(request: TokenRequest): Promise<TokenAnswer> {
  try {
    return await attempt(request)
  } catch (error) {
    if (request.prover === undefined || !(error instanceof OAuthRefusal) || error.error !== 'use_dpop_nonce') throw error
    return attempt(request)
  }
}

async function attempt(request: TokenRequest): Promise<TokenAnswer> {
  const { server, client, grantType, parameters, prover, signal } = request
  const metadata = await server.metadata('token', signal)
  const mutualTls = request.mutualTls === true || client?.method === 'tls_client_auth'
  const registered: oauth.Client = { client_id: client?.clientId ?? 'none', use_mtls_endpoint_aliases: mutualTls }
  const proof = prover && (await proofFor(prover, server, metadata, mutualTls))
  try {
    const answer = await oauth.genericTokenEndpointRequest(
      metadata,
      registered,
      clientAuth(server, client),
      grantType,
      new URLSearchParams(parameters),
      server.callOptions(signal, proof === undefined ? {} : { dpop: proof }),
    )
    if (prover !== undefined) keepNonce(prover, server, answer.headers.get('dpop-nonce'))
    // RFC 6749 section 5.1 says 200; servers that say 201 exist (O-28).
    const response = successes.has(answer.status) ? new Response(answer.body, { status: 200, headers: answer.headers }) : answer
    return read(server, await oauth.processGenericTokenEndpointResponse(metadata, registered, response), prover !== undefined)
  } catch (error) {
    throw answerError(server.issuer, error)
  }
}

/** What the library calls a client authentication. */
export function clientAuth(server: AuthorizationServer, client: ClientAuthentication | undefined): oauth.ClientAuth {
  return (metadata, _client, body, headers) => client?.authenticate({ metadata, body, headers, clock: server.clock })
}

function read(server: AuthorizationServer, answer: oauth.TokenEndpointResponse, bound: boolean): TokenAnswer {
  // A Bearer token in answer to a proof is one that the server did not bind (RFC 9449 section 5).
  if ((answer.token_type === 'dpop') !== bound)
    throw outage(
      'ERR_OAUTH_TOKEN_TYPE',
      `${server.issuer} issued a token of type ${answer.token_type} that ${bound ? 'is not bound' : 'nobody asked to bind'}.`,
    )
  if (answer.access_token.length > maxAuthorizationLength || !token68.test(answer.access_token))
    throw outage('ERR_OAUTH_ANSWER_INVALID', `${server.issuer} issued an access token that no Authorization field can hold.`)
  const issuedTokenType = answer['issued_token_type']
  return {
    accessToken: secret(answer.access_token),
    lifetimeSeconds: answer.expires_in,
    refreshToken: answer.refresh_token === undefined ? undefined : secret(answer.refresh_token),
    scope: answer.scope,
    issuedTokenType: typeof issuedTokenType === 'string' ? issuedTokenType : undefined,
  }
}

async function proofFor(
  prover: Prover,
  server: AuthorizationServer,
  metadata: oauth.AuthorizationServer,
  mutualTls: boolean,
): Promise<string> {
  const uri = (mutualTls ? metadata.mtls_endpoint_aliases?.token_endpoint : undefined) ?? metadata.token_endpoint ?? ''
  return prover.prove({ method: 'POST', uri, nonce: nonces.get(prover)?.get(server.issuer) })
}

function keepNonce(prover: Prover, server: AuthorizationServer, nonce: string | null): void {
  if (nonce === null) return
  let known = nonces.get(prover)
  if (known === undefined) nonces.set(prover, (known = new Map()))
  known.set(server.issuer, nonce)
}
