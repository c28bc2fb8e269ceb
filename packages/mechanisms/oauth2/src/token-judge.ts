import type { AccessRequest, AuthenticationContext, Credential, NotMine, Principal, Refused } from '@portcullis/core'
import type { JwtClaims } from '@portcullis/jwt'

/** A credential that carries an access token. */
export type TokenCredential = Extract<Credential, { readonly kind: 'bearer' | 'dpop' }>

/**
 * Judges the token of a credential, whatever it carries beside it: `introspectionJudge()` of this package, or
 * `accessTokenJudge()` of `@portcullis/jwt`.
 */
export type TokenJudge<C extends JwtClaims = JwtClaims> = (
  credential: TokenCredential,
  request: AccessRequest,
  context: AuthenticationContext,
) => Principal<C> | NotMine | Refused | Promise<Principal<C> | NotMine | Refused>
