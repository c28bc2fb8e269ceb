import type { CredentialSource } from '@portcullis/core'
import { checkOptions } from '@portcullis/core'
import type { SecretInput } from './static-source.ts'
import { staticSource } from './static-source.ts'

/** How {@link bearerToken} is set up. */
export interface BearerTokenOptions {
  readonly token: SecretInput
  /** The origins that may see the token, such as `https://orders.example`. All others are refused. */
  readonly targets: readonly string[]
}

/**
 * Sends a bearer token that was obtained elsewhere (RFC 6750). It knows nothing of the token's expiry: tokens that a
 * server issues belong to `@portcullis/oauth2`, self-issued ones to `@portcullis/jwt`.
 *
 * The source throws `ERR_SOURCE_TARGET`, `ERR_SOURCE_INSECURE`, and `ERR_SOURCE_EXHAUSTED` once the target has refused
 * this token.
 */
export function bearerToken(options: BearerTokenOptions): CredentialSource {
  checkOptions<BearerTokenOptions>('bearerToken', options, { token: true, targets: true })
  return staticSource('bearerToken', options.token, options.targets, (token) => ({ kind: 'bearer', carrier: 'authorization', token }))
}
