import { checkOptions, requireText } from '@portcullis/core'
import { requireServer, type AuthorizationServer } from './authorization-server.ts'
import { requireClient, type ClientAuthentication } from './client-authentication.ts'
import { continued } from './rotation.ts'
import { secretReader, type SecretInput } from './secret-input.ts'
import { parameterPairs, scopeText, type Parameters } from './token-parameters.ts'
import { checkGrantOptions, tokenSource, type Grant, type GrantOptions, type Instead, type TokenSource } from './token-source.ts'

/** How tokens are renewed, where that differs from how they were obtained (O-5). What is left out is as for the first token, but for scopes and parameters. */
export interface RefreshOptions {
  readonly server?: AuthorizationServer
  readonly client?: ClientAuthentication
  /** Default: none are asked for, so that they stay as they are. */
  readonly scopes?: string | readonly [string, ...string[]]
  readonly parameters?: Parameters
}

/** How {@link password} is set up. */
export interface PasswordOptions extends GrantOptions {
  readonly client?: ClientAuthentication
  readonly username: string
  readonly password: SecretInput
  /**
   * How an expiring token is renewed: by the refresh token that came along, at the same endpoint and with the same
   * scopes and parameters (`infer`), or as told. Without it, by the password again.
   */
  readonly refresh?: 'infer' | RefreshOptions
}

/**
 * A source of tokens for a user's name and password (RFC 6749 section 4.3), for servers that offer nothing else: RFC
 * 9700 section 2.4 forbids the grant, since it shows the password to the client and knows no second factor.
 */
export function password(options: PasswordOptions): TokenSource {
  checkGrantOptions<PasswordOptions>('password', options, { client: true, username: true, password: true, refresh: true })
  const { client, refresh } = options
  const username = requireText('password username', options.username)
  const read = secretReader('password password', options.password)
  const begin: Grant = async (ask) => ask('password', { username, password: (await read()).reveal() })
  const grant = refresh === undefined ? begin : continued(begin, refresh === 'infer' ? undefined : otherwise(refresh))
  return tokenSource('password', options, client, grant)
}

function otherwise(refresh: RefreshOptions): Instead {
  checkOptions<RefreshOptions>('password refresh', refresh, { server: true, client: true, scopes: true, parameters: true })
  const { server, client, scopes, parameters } = refresh
  const scope = scopeText('password refresh scopes', scopes)
  const own = parameterPairs('password refresh parameters', parameters)
  return {
    ...(server !== undefined && { server: requireServer('password refresh', server) }),
    ...(client !== undefined && { client: requireClient('password refresh', client) }),
    // Whom the token is for stays, whatever else changes.
    wanted: ({ pairs }) => ({ scope, pairs: [...pairs.filter(([name]) => name === 'resource' || name === 'audience'), ...own] }),
  }
}
