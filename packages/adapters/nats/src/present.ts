import { ConfigurationError, type Credential, type Secret } from '@portcullis/core'
import type { NatsErrorCode } from './errors.ts'
import { proveNkey } from './nkey.ts'

declare module '@portcullis/core' {
  interface CredentialKinds {
    /** A user's NKey by its seed (`SU…`). It signs the server's nonce and is never sent. */
    nkey: { readonly seed: Secret }
    /** A user JWT of an operator's or account's, with the seed of the NKey that it names. */
    userJwt: { readonly jwt: Secret; readonly seed: Secret }
  }
}

/** What a client sends of itself when it connects. */
export type NatsAuth =
  | { readonly user: string; readonly pass: string }
  | { readonly auth_token: string }
  | { readonly nkey: string; readonly sig: string }
  | { readonly jwt: string; readonly nkey: string; readonly sig: string }

/**
 * A credential as the fields of `CONNECT`: name and password, a token (also an access token, for an auth callout), an
 * NKey, or a user JWT with its NKey. `nonce` is the server's challenge; a server that sends none takes no NKey. Throws
 * `ERR_NATS_CREDENTIAL` for other kinds.
 */
export function present(credential: Credential, nonce: string | undefined): NatsAuth {
  switch (credential.kind) {
    case 'basic':
      return { user: credential.username, pass: credential.password.reveal() }
    case 'bearer':
      return { auth_token: credential.token.reveal() }
    case 'nkey':
      return proved(credential.seed, nonce)
    case 'userJwt':
      return { jwt: credential.jwt.reveal(), ...proved(credential.seed, nonce) }
    default:
      throw formless(`a credential of kind "${credential.kind}"`)
  }
}

function proved(seed: Secret, nonce: string | undefined): { readonly nkey: string; readonly sig: string } {
  if (nonce === undefined) throw formless('an NKey towards a server that sends no nonce')
  return proveNkey(seed.reveal(), nonce)
}

function formless(what: string): ConfigurationError {
  return new ConfigurationError<NatsErrorCode>('ERR_NATS_CREDENTIAL', `NATS has no form for ${what}.`)
}
