import { requireFunction, requireNumber, wait } from '@portcullis/core'
import * as oauth from 'oauth4webapi'
import { requireServer } from './authorization-server.ts'
import { requireClient, type ClientAuthentication } from './client-authentication.ts'
import { outage } from './errors.ts'
import { afterAuthorization, isHttps } from './login.ts'
import { loopbackRedirect } from './loopback-redirect.ts'
import { continued } from './rotation.ts'
import { wantedByOrigin } from './token-parameters.ts'
import { checkGrantOptions, onlyOrigin, tokenSource, type GrantOptions, type TokenSource } from './token-source.ts'

/** How {@link authorizationCode} is set up. */
export interface AuthorizationCodeOptions extends GrantOptions {
  readonly client: ClientAuthentication
  /** Opens the address in the user's browser, or shows it. */
  readonly openBrowser: (url: string) => void | Promise<void>
  /** The loopback port of the redirect, where the server does not take any (RFC 8252 section 7.3). Default: a free one. */
  readonly redirectPort?: number
  /** How long to wait for the user, in milliseconds. Default: 300,000. */
  readonly loginTimeoutMs?: number
}

/**
 * A source of tokens of a user who logs in with the browser of this machine (RFC 6749 section 4.1, RFC 8252), for
 * command-line tools. It uses PKCE (RFC 7636) always, and checks `state` and the answer's issuer (RFC 9207). The first
 * request opens the browser and waits; later ones use the refresh token. It has one target.
 *
 * Register `http://127.0.0.1/callback` as redirect URI. Rejects with `ERR_OAUTH_LOGIN_FAILED` and
 * `ERR_OAUTH_LOGIN_TIMEOUT`. Log-in of users of a web site is a different task, and not for this.
 */
export function authorizationCode(options: AuthorizationCodeOptions): TokenSource {
  checkGrantOptions<AuthorizationCodeOptions>('authorizationCode', options, {
    client: true,
    openBrowser: true,
    redirectPort: true,
    loginTimeoutMs: true,
  })
  const server = requireServer('authorizationCode', options.server)
  server.requireEndpoint('authorizationCode', 'authorization')
  const client = requireClient('authorizationCode', options.client)
  const openBrowser = requireFunction('authorizationCode openBrowser', options.openBrowser)
  const port =
    options.redirectPort === undefined ? 0 : requireNumber('authorizationCode redirectPort', options.redirectPort, { min: 1, max: 65_535 })
  const timeoutMs = requireNumber('authorizationCode loginTimeoutMs', options.loginTimeoutMs ?? 300_000, { min: 1_000, max: 3_600_000 })
  const origin = onlyOrigin('authorizationCode', options.targets)
  const wanted = wantedByOrigin('authorizationCode', options.targets, options).get(origin)

  return tokenSource(
    'authorizationCode',
    options,
    client,
    continued(async (ask, { signal }) => {
      const metadata = await server.metadata('authorization', signal)
      const endpoint = metadata.authorization_endpoint ?? ''
      if (!isHttps(endpoint)) throw outage('ERR_OAUTH_METADATA_INVALID', `The authorization endpoint of ${server.issuer} is no https URL.`)
      const verifier = oauth.generateRandomCodeVerifier()
      const state = oauth.generateRandomState()
      const redirect = await loopbackRedirect(port)
      const over = new AbortController()
      try {
        const url = new URL(endpoint)
        const parameters = {
          response_type: 'code',
          client_id: client.clientId,
          redirect_uri: redirect.redirectUri,
          state,
          code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
          code_challenge_method: 'S256',
        }
        for (const [name, value] of wanted?.pairs ?? []) url.searchParams.append(name, value)
        if (wanted?.scope !== undefined) url.searchParams.set('scope', wanted.scope)
        for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
        // Only what carries our state is the answer; anybody on this machine can send something else here.
        const answer = redirect.next((given) => given.get('state') === state)
        await openBrowser(url.href)
        const both = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal])
        const late = wait(server.clock, timeoutMs, both).then(() => {
          throw outage('ERR_OAUTH_LOGIN_TIMEOUT', `Nobody logged in within ${timeoutMs} ms.`)
        })
        const given = await Promise.race([answer, late])
        const code = validated(metadata, client.clientId, given, state)
        return await ask('authorization_code', { code, redirect_uri: redirect.redirectUri, code_verifier: verifier }, afterAuthorization)
      } finally {
        over.abort()
        redirect.close()
      }
    }),
  )
}

function validated(metadata: oauth.AuthorizationServer, clientId: string, given: URLSearchParams, state: string): string {
  try {
    const code = oauth.validateAuthResponse(metadata, { client_id: clientId }, given, state).get('code')
    if (code !== null && code !== '') return code
  } catch (error) {
    const reason =
      error instanceof oauth.AuthorizationResponseError ? error.error.replace(/[^\w.-]/g, '?').slice(0, 64) : 'it does not fit the request'
    throw outage('ERR_OAUTH_LOGIN_FAILED', `The authorization server gave no code: ${reason}.`)
  }
  throw outage('ERR_OAUTH_LOGIN_FAILED', 'The authorization server gave no code.')
}
