import { vouchForPrincipal, type Confirmation, type Principal, type PrincipalInit, type Revocation } from '@portcullis/core'
import { isNumericDate, type IssuerRow, type JwtClaims } from './claims.ts'
import { refuse, type JwtRefused } from './errors.ts'

/** What is known of claims besides what they say. */
export interface Standing {
  /** When they cease to hold, in milliseconds since the epoch; `Infinity` if nothing limits them. */
  readonly acceptedUntilMs: number
  /** What ends them before. */
  readonly revocations: readonly Revocation[]
}

/**
 * The principal of claims that passed every check. Subject, scopes, confirmation and actor are those that the issuer
 * stated; only its claims are `shaped` by the schema, which may leave out what it does not know, a binding included.
 */
export function principalOf<C extends JwtClaims>(
  row: IssuerRow,
  claims: JwtClaims,
  shaped: C,
  { acceptedUntilMs, revocations }: Standing,
): Principal<C> | JwtRefused {
  const subject = claims[row.subjectClaim]
  if (subject === undefined) return refuse('ERR_JWT_CLAIM_MISSING', row.subjectClaim)
  if (typeof subject !== 'string' || subject === '') return refuse('ERR_JWT_CLAIM_INVALID', row.subjectClaim)
  const scopes = scopesOf(claims[row.scopeClaim])
  if (scopes === undefined) return refuse('ERR_JWT_CLAIM_INVALID', row.scopeClaim)
  const confirmation = claims['cnf'] === undefined ? undefined : confirmationOf(claims['cnf'])
  if (confirmation === null) return refuse('ERR_JWT_CONFIRMATION_UNSUPPORTED', 'cnf')
  const actor = claims['act'] === undefined ? undefined : actorOf(row.issuer, claims['act'])
  if (actor === null) return refuse('ERR_JWT_CLAIM_INVALID', 'act')
  const authenticated = claims['auth_time']
  if (authenticated !== undefined && !isNumericDate(authenticated)) return refuse('ERR_JWT_CLAIM_INVALID', 'auth_time')
  const init: PrincipalInit<C> = {
    issuer: row.issuer,
    subject,
    scopes,
    claims: shaped,
    revocations,
    ...(acceptedUntilMs !== Number.POSITIVE_INFINITY && { expiresAt: new Date(acceptedUntilMs) }),
    ...(authenticated !== undefined && { authenticatedAt: new Date(authenticated * 1000) }),
    ...(confirmation !== undefined && { confirmation }),
    ...(actor !== undefined && { actor }),
  }
  return vouchForPrincipal(init)
}

const noScopes: readonly string[] = []

/** The scopes of a claim, text with spaces or list of texts; `undefined` if it is neither. */
function scopesOf(claim: unknown): readonly string[] | undefined {
  if (claim === undefined) return noScopes
  const list: unknown = typeof claim === 'string' ? claim.split(' ') : claim
  if (!Array.isArray(list) || !list.every((one): one is string => typeof one === 'string')) return undefined
  return list.includes('') ? list.filter((one) => one !== '') : list
}

const thumbprint = /^[\w-]{43}$/

/** RFC 7800, RFC 8705 section 3.1, RFC 9449 section 6.1; `null` for a binding that cannot be enforced. */
function confirmationOf(cnf: unknown): Confirmation | null {
  if (typeof cnf !== 'object' || cnf === null || Array.isArray(cnf)) return null
  const members = Object.entries(cnf)
  const sound =
    members.length > 0 &&
    members.every(([name, value]) => (name === 'jkt' || name === 'x5t#S256') && typeof value === 'string' && thumbprint.test(value))
  return sound ? (Object.fromEntries(members) as Confirmation) : null
}

/** RFC 8693 section 4.1: the outermost acts now, those inside did before. `null` if one has no subject. */
function actorOf(issuer: string, act: unknown): Principal | null {
  if (typeof act !== 'object' || act === null || Array.isArray(act)) return null
  const { sub, iss, act: before } = act as Readonly<Record<string, unknown>>
  if (typeof sub !== 'string' || sub === '' || (iss !== undefined && (typeof iss !== 'string' || iss === ''))) return null
  const actor = before === undefined ? undefined : actorOf(issuer, before)
  if (actor === null) return null
  return vouchForPrincipal({
    issuer: iss ?? issuer,
    subject: sub,
    claims: act as Readonly<Record<string, unknown>>,
    ...(actor !== undefined && { actor }),
  })
}
