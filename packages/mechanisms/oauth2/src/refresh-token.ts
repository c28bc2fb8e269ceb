import { isSecret, requireFunction, secret, type Secret } from '@portcullis/core'
import { requireClient, type ClientAuthentication } from './client-authentication.ts'
import { mistake } from './errors.ts'
import { Rotation } from './rotation.ts'
import { secretReader, type SecretInput } from './secret-input.ts'
import { checkGrantOptions, onlyOrigin, tokenSource, type Grant, type GrantOptions, type TokenSource } from './token-source.ts'

/** How {@link refreshToken} is set up. */
export interface RefreshTokenOptions extends GrantOptions {
  readonly client: ClientAuthentication
  /** The first one; a function is asked again after the last one was refused. */
  readonly refreshToken: SecretInput
  /**
   * Gets each new refresh token that the server issued in place of the old one, to be kept for the next start of the
   * process. It is awaited: what it throws fails the request, the new refresh token is used all the same, and is offered
   * again after the next answer.
   */
  readonly onRotated?: (refreshToken: Secret) => void | Promise<void>
}

/**
 * A source of tokens that go on from a refresh token which somebody obtained (RFC 6749 section 6). A new refresh token
 * in an answer replaces the old one; all targets share it, one request at a time.
 *
 * Rejects with `ERR_OAUTH_GRANT_ENDED` once the server has refused the refresh token and there is no other: it is not
 * sent again.
 */
export function refreshToken(options: RefreshTokenOptions): TokenSource {
  checkGrantOptions<RefreshTokenOptions>('refreshToken', options, { client: true, refreshToken: true, onRotated: true })
  return tokenSource('refreshToken', options, requireClient('refreshToken', options.client), refreshGrant('refreshToken', options))
}

/** How {@link directToken} is set up. */
export interface DirectTokenOptions extends RefreshTokenOptions {
  /** A token that somebody obtained, for the one target. */
  readonly accessToken: string | Secret
  /** When it expires. Default: after `defaultLifetimeSeconds`, counted from its first use. */
  readonly expiresAt?: Date
}

/**
 * A source that begins with an access token at hand and goes on by its refresh token (O-30). It has one target, since
 * that token was issued for somebody. Without a refresh token, `bearerToken()` of `@portcullis/auth` sends it as it is.
 */
export function directToken(options: DirectTokenOptions): TokenSource {
  checkGrantOptions<DirectTokenOptions>('directToken', options, {
    client: true,
    refreshToken: true,
    onRotated: true,
    accessToken: true,
    expiresAt: true,
  })
  onlyOrigin('directToken', options.targets)
  const { accessToken, expiresAt, server } = options
  if ((typeof accessToken !== 'string' && !isSecret(accessToken)) || secret(accessToken).reveal() === '')
    throw mistake('ERR_OPTION_INVALID', 'directToken accessToken must be a text or a secret that is not empty.')
  if (expiresAt !== undefined && !(expiresAt instanceof Date && Number.isFinite(expiresAt.getTime())))
    throw mistake('ERR_OPTION_INVALID', 'directToken expiresAt must be a date.')
  const refresh = refreshGrant('directToken', options)
  let isUsed = false
  return tokenSource('directToken', options, requireClient('directToken', options.client), async (ask, request) => {
    const isFirst = !isUsed && !request.isReplacement
    isUsed = true
    const lifetimeSeconds = expiresAt === undefined ? undefined : (expiresAt.getTime() - server.clock.now()) / 1000
    if (!isFirst || (lifetimeSeconds !== undefined && lifetimeSeconds <= 0)) return refresh(ask, request)
    return { accessToken: secret(accessToken), lifetimeSeconds, refreshToken: undefined, scope: undefined, issuedTokenType: undefined }
  })
}

function refreshGrant(where: string, options: RefreshTokenOptions): Grant {
  const { onRotated } = options
  if (onRotated !== undefined) requireFunction(`${where} onRotated`, onRotated)
  const rotation = new Rotation(secretReader(`${where} refreshToken`, options.refreshToken), onRotated)
  return (ask) => rotation.refresh(ask)
}
