import { checkOptions, requireText, secret, type Secret } from '@portcullis/core'
import * as oauth from 'oauth4webapi'
import { answerError } from './answer-error.ts'
import { requireServer, type AuthorizationServer } from './authorization-server.ts'
import { requireClient, type ClientAuthentication } from './client-authentication.ts'
import { clientAuth } from './token-request.ts'

/** What {@link revokeToken} takes. */
export interface RevokeTokenOptions {
  readonly server: AuthorizationServer
  readonly client: ClientAuthentication
  /** An access token or a refresh token. */
  readonly token: string | Secret
  readonly tokenTypeHint?: 'access_token' | 'refresh_token'
  readonly signal?: AbortSignal
}

/**
 * Tells the authorization server that a token is no longer needed, for example when a user logs out (RFC 7009). That
 * the server never knew it is no error. Rejects with the outages of {@link authorizationServer} and `ERR_OAUTH_REFUSED`.
 */
export async function revokeToken(options: RevokeTokenOptions): Promise<void> {
  checkOptions<RevokeTokenOptions>('revokeToken', options, { server: true, client: true, token: true, tokenTypeHint: true, signal: true })
  const { tokenTypeHint, signal } = options
  const server = requireServer('revokeToken', options.server)
  server.requireEndpoint('revokeToken', 'revocation')
  const client = requireClient('revokeToken', options.client)
  const token = requireText('revokeToken token', secret(options.token).reveal())
  try {
    const metadata = await server.metadata('revocation', signal)
    const registered: oauth.Client = { client_id: client.clientId, use_mtls_endpoint_aliases: client.method === 'tls_client_auth' }
    const response = await oauth.revocationRequest(metadata, registered, clientAuth(server, client), token, {
      ...server.callOptions(signal),
      ...(tokenTypeHint !== undefined && { additionalParameters: { token_type_hint: tokenTypeHint } }),
    })
    await oauth.processRevocationResponse(response)
  } catch (error) {
    throw answerError(server.issuer, error)
  }
}
