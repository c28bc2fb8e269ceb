import type { ClientAuthentication } from './client-authentication.ts'
import { secretReader, type SecretInput } from './secret-input.ts'
import { checkGrantOptions, tokenSource, type GrantOptions, type TokenSource } from './token-source.ts'

/** How {@link jwtBearer} is set up. */
export interface JwtBearerOptions extends GrantOptions {
  /** Absent where the assertion alone says who asks (RFC 7523 section 3.1). */
  readonly client?: ClientAuthentication
  /** The assertion. Give a function that makes a new one each time, such as `() => issuer.issue()`: one that was sent may have expired when the token is renewed. */
  readonly assertion: SecretInput
}

/** A source of tokens for a signed assertion (RFC 7523 section 2.1). */
export function jwtBearer(options: JwtBearerOptions): TokenSource {
  checkGrantOptions<JwtBearerOptions>('jwtBearer', options, { client: true, assertion: true })
  const read = secretReader('jwtBearer assertion', options.assertion)
  return tokenSource('jwtBearer', options, options.client, async (ask) =>
    ask('urn:ietf:params:oauth:grant-type:jwt-bearer', { assertion: (await read()).reveal() }),
  )
}
