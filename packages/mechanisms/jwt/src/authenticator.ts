import {
  authenticator,
  credentialOf,
  notMine,
  requireText,
  type Authenticator,
  type Credential,
  type NotMine,
  type Principal,
} from '@portcullis/core'
import type { JwtClaims } from './claims.ts'
import { isRefused, refuse, type JwtRefused } from './errors.ts'
import { principalOf } from './principal.ts'
import type { Acceptance } from './token-cache.ts'
import { TokenJudge, type VerifierOptions } from './verify.ts'

/** The options of {@link jwt}. */
export type JwtOptions<C extends JwtClaims = JwtClaims> = VerifierOptions<C> & {
  /** Appears in explanations and audit events. Default: `jwt`. */
  readonly name?: string
  /** The `realm` of the challenge (RFC 6750 section 3). Default: none. */
  readonly realm?: string
  /** Where the metadata of this resource stand, told in the challenge (RFC 9728 section 5.1). */
  readonly resourceMetadata?: string
}

/**
 * The JWT mechanism: takes bearer tokens that are JWTs, and proves who stands behind them. What is no JWT at all is
 * left to other mechanisms, such as introspection.
 *
 * The principal has the token's issuer, subject, scopes, expiry, `act` as actor, `auth_time` and `cnf`, whatever a
 * `schema` leaves of them. Its claims are those of the token, or what the schema makes of them. A token that is bound
 * to a key (`cnf` with `jkt`) is refused as a plain bearer token; one bound to a certificate passes the guard only over
 * a channel with that certificate.
 */
export function jwt<C extends JwtClaims = JwtClaims>(options: JwtOptions<C>): Authenticator<Principal<C>> {
  const { name = 'jwt', realm, resourceMetadata, ...verifying } = options
  const judge = accessTokenJudge<C>(verifying)
  const parameters = {
    ...(realm !== undefined && { realm: requireText('realm', realm) }),
    ...(resourceMetadata !== undefined && { resource_metadata: requireText('resourceMetadata', resourceMetadata) }),
  }
  return authenticator<Principal<C>>(
    name,
    (request) => {
      const credential = credentialOf(request.credentials, 'bearer')
      if (credential === undefined) return notMine
      const verdict = judge(credential)
      return verdict instanceof Promise ? verdict.then(plainBearer) : plainBearer(verdict)
    },
    [{ scheme: 'Bearer', ...(Object.keys(parameters).length > 0 && { parameters }) }],
  )
}

/** Judges the token of a credential that carries one, whatever it carries beside it. */
export type AccessTokenJudge<C extends JwtClaims> = (
  credential: Extract<Credential, { readonly kind: 'bearer' | 'dpop' }>,
) => Principal<C> | NotMine | JwtRefused | Promise<Principal<C> | NotMine | JwtRefused>

const defaultCache = { maxEntries: 10_000 }

/**
 * Makes a function that judges access tokens, for mechanisms that ask more of the request than the token, such as DPoP
 * (RFC 9449): the principal may be bound to a key by its `confirmation`, which the mechanism then proves, and the guard
 * enforces. To take plain bearer tokens use {@link jwt}.
 */
export function accessTokenJudge<C extends JwtClaims = JwtClaims>(options: VerifierOptions<C>): AccessTokenJudge<C> {
  const judge = new TokenJudge<C, Principal<C>>(options, defaultCache, (verified, row, claims) =>
    principalOf(row, claims, verified.claims, verified),
  )
  const isEncrypted = options.decryption !== undefined
  // An adapter hands out the same object for the same text on one connection: its verdict is found without a digest.
  const seen = new WeakMap<Credential, Acceptance<Principal<C>>>()
  return (credential) => {
    const before = seen.get(credential)
    const again = before === undefined ? undefined : judge.recheck(before)
    if (again !== undefined) return again instanceof Promise ? again.then(valueOf) : valueOf(again)
    const token = credential.token.reveal()
    if (!hasShape(token, isEncrypted)) return notMine
    const keep = (verdict: Acceptance<Principal<C>> | JwtRefused): Principal<C> | JwtRefused => {
      if (isRefused(verdict)) return verdict
      seen.set(credential, verdict)
      return verdict.value
    }
    const verdict = judge.judge(token)
    return verdict instanceof Promise ? verdict.then(keep) : keep(verdict)
  }
}

function valueOf<T>(verdict: Acceptance<T> | JwtRefused): T | JwtRefused {
  return isRefused(verdict) ? verdict : verdict.value
}

function plainBearer<C extends JwtClaims>(verdict: Principal<C> | NotMine | JwtRefused): Principal<C> | NotMine | JwtRefused {
  if (typeof verdict === 'symbol' || isRefused(verdict)) return verdict
  return verdict.confirmation?.['jkt'] === undefined ? verdict : refuse('ERR_JWT_PROOF_MISSING', 'cnf')
}

/** Whether a text is meant as a JWT: three parts (or five), the first of which is the beginning of a JSON object in base64url. */
function hasShape(token: string, isEncrypted: boolean): boolean {
  if (token.charCodeAt(0) !== 0x65) return false
  const second = token.charCodeAt(1)
  if (second !== 0x79 && second !== 0x77) return false
  let dots = 0
  for (let at = token.indexOf('.'); at !== -1 && dots < 5; at = token.indexOf('.', at + 1)) dots++
  return dots === 2 || (dots === 4 && isEncrypted)
}
