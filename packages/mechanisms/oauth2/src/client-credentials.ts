import type { ClientAuthentication } from './client-authentication.ts'
import { mistake } from './errors.ts'
import { checkGrantOptions, tokenSource, type GrantOptions, type TokenSource } from './token-source.ts'

/** How {@link clientCredentials} is set up. */
export interface ClientCredentialsOptions extends GrantOptions {
  readonly client: ClientAuthentication
}

/**
 * A source of tokens that a service gets for itself (RFC 6749 section 4.4).
 *
 * It starts without the server. Throws `ERR_SOURCE_TARGET` and `ERR_SOURCE_INSECURE` for a target that it was not made
 * for; rejects with the outages of {@link oauth2ErrorCodes}, and with `ERR_OAUTH_REFUSED` where the server refuses.
 */
export function clientCredentials(options: ClientCredentialsOptions): TokenSource {
  checkGrantOptions('clientCredentials', options, { client: true })
  // RFC 6749 section 4.4: only confidential clients.
  if (options.client?.method === 'none') throw mistake('ERR_OPTION_INVALID', 'clientCredentials needs a client that proves itself.')
  if (options.client === undefined) throw mistake('ERR_OPTION_MISSING', 'clientCredentials needs a client.')
  return tokenSource('clientCredentials', options, options.client, (ask) => ask('client_credentials', {}))
}
