import { ConfigurationError, type Credential } from '@portcullis/core'
import type { StanErrorCode } from './errors.ts'

/** The part of the library's options that says who connects. */
export type StanAuth = { readonly user: string; readonly pass: string } | { readonly token: string }

/**
 * A credential in the library's form: name and password, or a token. Throws `ERR_STAN_CREDENTIAL` for other kinds;
 * NKeys and user JWTs are for `@portcullis/nats`.
 */
export function present(credential: Credential): StanAuth {
  switch (credential.kind) {
    case 'basic':
      return { user: credential.username, pass: credential.password.reveal() }
    case 'bearer':
      return { token: credential.token.reveal() }
    default:
      throw new ConfigurationError<StanErrorCode>(
        'ERR_STAN_CREDENTIAL',
        `NATS Streaming has no form here for a credential of kind "${credential.kind}".`,
      )
  }
}
