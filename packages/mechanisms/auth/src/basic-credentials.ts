import type { CredentialSource } from '@portcullis/core'
import { checkOptions, ConfigurationError, requireText, secret } from '@portcullis/core'
import type { SecretInput } from './static-source.ts'
import { staticSource } from './static-source.ts'

/** How {@link basicCredentials} is set up. */
export interface BasicCredentialsOptions {
  /** Without colon (RFC 7617 section 2). */
  readonly username: string
  readonly password: SecretInput
  /** The origins that may see the password, such as `https://orders.example`. All others are refused. */
  readonly targets: readonly string[]
}

/**
 * Logs a client in with a name and password. Both are normalised to NFC, as RFC 7617 section 2.1 asks of clients.
 *
 * The source throws `ERR_SOURCE_TARGET` for a target that it was not made for, `ERR_SOURCE_INSECURE` for one that is
 * not reached securely, and `ERR_SOURCE_EXHAUSTED` once the target has refused this password: it is never sent there a
 * second time.
 */
export function basicCredentials(options: BasicCredentialsOptions): CredentialSource {
  checkOptions<BasicCredentialsOptions>('basicCredentials', options, { username: true, password: true, targets: true })
  const username = requireText('The username of basicCredentials', options.username).normalize('NFC')
  if (/[:\p{Cc}]/u.test(username))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'The username of basicCredentials must not contain a colon or control characters.')
  return staticSource('basicCredentials', options.password, options.targets, (password) => ({
    kind: 'basic',
    carrier: 'authorization',
    username,
    password: secret(password.reveal().normalize('NFC')),
  }))
}
