import { systemClock, type Clock, type Principal } from '@portcullis/core'
import {
  acceptedUntilMs as acceptedUntil,
  checkClaims,
  checkMatchers,
  issuerRow,
  requireGiven,
  type IssuerOptions,
  type JwtClaims,
} from './claims.ts'
import { isRefused, refuse, type JwtRefused } from './errors.ts'
import { principalOf, type Standing } from './principal.ts'
import { applySchema, requireSchema, type StandardSchema } from './schema.ts'

/** What {@link claimsJudge} demands of claims: what an issuer's row does, without what concerns signatures. */
export interface ClaimsJudgeOptions<C extends JwtClaims = JwtClaims> extends Omit<
  IssuerOptions,
  'keys' | 'algorithms' | 'profile' | 'typ'
> {
  readonly schema?: StandardSchema<C>
  readonly clock?: Clock
}

/** Judges claims, and makes the principal of those that hold. */
export type ClaimsJudge<C extends JwtClaims = JwtClaims> = (
  claims: JwtClaims,
  standing: Standing,
) => Principal<C> | JwtRefused | Promise<Principal<C> | JwtRefused>

/**
 * Judges claims that their issuer has stated by other means than a signature, such as its introspection endpoint, as
 * those of a token are: issuer, audience, times, matchers, schema, `cnf` and `act`.
 *
 * **It believes that the issuer said so**: whoever calls it has seen to that.
 */
export function claimsJudge<C extends JwtClaims = JwtClaims>(options: ClaimsJudgeOptions<C>): ClaimsJudge<C> {
  requireGiven(options, ['schema'])
  const { schema, clock = systemClock, ...issuer } = options
  const row = issuerRow({ ...issuer, keys: { find: () => refuse('ERR_JWT_KEY_UNKNOWN') } }, clock)
  const typed = schema === undefined ? undefined : requireSchema(schema)
  return (claims, standing) => {
    if (claims.iss === undefined) return refuse('ERR_JWT_CLAIM_MISSING', 'iss')
    if (claims.iss !== row.issuer) return refuse('ERR_JWT_ISSUER_UNKNOWN', 'iss')
    const fault = checkClaims(row, claims, clock.now()) ?? checkMatchers(row, claims)
    if (fault !== undefined) return fault
    const acceptedUntilMs = Math.min(standing.acceptedUntilMs, acceptedUntil(row, claims))
    const vouch = (checked: C | JwtRefused): Principal<C> | JwtRefused =>
      isRefused(checked) ? checked : principalOf(row, claims, checked, { acceptedUntilMs, revocations: standing.revocations })
    if (typed === undefined) return vouch(claims as C)
    const checked = applySchema(typed, claims)
    return checked instanceof Promise ? checked.then(vouch) : vouch(checked)
  }
}
