import { isDeepStrictEqual } from 'node:util'
import { checkOptions, ConfigurationError, requireFunction, requireNumber, requireText, requireTexts, type Clock } from '@portcullis/core'
import type { Algorithm } from './algorithms.ts'
import { anyAudience, withoutExpiry } from './danger.ts'
import { refuse, type JwtErrorCode, type JwtRefused } from './errors.ts'
import { requireAlgorithms, type KeySet } from './keys.ts'
import type { JwtHeader } from './header.ts'
import { keysOf, type KeysOption } from './key-options.ts'
import type { JsonObject } from './strict-json.ts'

/** Claims (RFC 7519 section 4). The registered ones have these types once verified; the rest is as the issuer wrote it. */
export interface JwtClaims {
  readonly iss?: string
  readonly sub?: string
  readonly aud?: string | readonly string[]
  readonly exp?: number
  readonly nbf?: number
  readonly iat?: number
  readonly jti?: string
  readonly [claim: string]: unknown
}

/**
 * What a claim must be: this very value (objects and lists of a token are compared whole), one of a list of values, or
 * what a function accepts. A function that throws, or returns anything but `true`, refuses.
 */
export type ClaimMatcher =
  | string
  | number
  | boolean
  | null
  | readonly (string | number | boolean | null | JsonObject)[]
  | JsonObject
  | ((value: unknown, claims: JwtClaims) => boolean)

/**
 * A named bundle of further demands.
 *
 * - `rfc9068`: an OAuth access token: `typ` is `at+jwt`; `sub`, `client_id`, `iat` and `jti` are required.
 * - `rfc8725`: best current practice to the letter: the option `typ` must be given (section 3.11), and a `sub` is required.
 */
export type Profile = 'rfc9068' | 'rfc8725'

/** One issuer that is trusted, and what its tokens must say. */
export interface IssuerOptions {
  /** The `iss` of its tokens, compared exactly (RFC 7519 section 4.1.1). */
  readonly issuer: string
  /**
   * Names this service answers to, compared with `aud` exactly; one match is enough, and a token without `aud` is
   * refused (RFC 8725 section 3.9). `anyAudience` of `@portcullis/jwt/danger` gives this up.
   */
  readonly audience: string | readonly [string, ...string[]] | typeof anyAudience
  /** The keys that verify its tokens, and never those of another issuer. */
  readonly keys: KeysOption
  /** Narrows what the keys are bound to: a token with another `alg` is refused before any key is looked up. */
  readonly algorithms?: readonly [Algorithm, ...Algorithm[]]
  readonly profile?: Profile
  /**
   * The types (`typ`) accepted, in any case and without `application/`; presence becomes mandatory. By default `JWT`,
   * `at+jwt` or none, so that tokens made for another use (`dpop+jwt`, `logout+jwt`, …) are refused (RFC 8725 section 3.11).
   */
  readonly typ?: string | readonly [string, ...string[]]
  /** What further claims must be; each becomes required. `{ sub: 'billing', azp: ['web', 'app'] }`. */
  readonly claims?: Readonly<Record<string, ClaimMatcher>>
  /** The claim that holds the scopes, as text with spaces or as a list. Default: `scope` (RFC 8693 section 4.2). */
  readonly scopeClaim?: string
  /** The claim that names the subject of the principal. Default: `sub`. Another one, such as `client_id`, only where the issuer never lets two parties choose it. */
  readonly subjectClaim?: string
  /** How far the clocks of issuer and service may differ, in seconds, from 0 to 300. Default 0: `exp` at its very second is expired. */
  readonly clockToleranceSeconds?: number
  /** The greatest age since `iat`, in seconds; makes `iat` required, and refuses one in the future. Default: no limit but `exp`. */
  readonly maxAgeSeconds?: number
  /** `withoutExpiry` of `@portcullis/jwt/danger` accepts tokens that have no `exp`. */
  readonly expiry?: typeof withoutExpiry
}

/** {@link IssuerOptions}, checked and compiled. */
export interface IssuerRow {
  readonly issuer: string
  readonly audiences: ReadonlySet<string> | undefined
  readonly keys: KeySet
  readonly algorithms: ReadonlySet<string> | undefined
  readonly types: ReadonlySet<string> | undefined
  readonly required: readonly string[]
  readonly matchers: readonly { readonly claim: string; readonly accepts: (value: unknown, claims: JwtClaims) => boolean }[]
  readonly scopeClaim: string
  readonly subjectClaim: string
  readonly toleranceSeconds: number
  readonly maxAgeSeconds: number | undefined
  readonly expires: boolean
}

// A few minutes are for clocks (RFC 7519 section 4.1.4); more would be a way to use expired tokens.
export const maxClockToleranceSeconds = 300
// Ten years; longer is no limit.
const longestAgeSeconds = 315_360_000
// The end of the year 9999. Beyond are milliseconds mistaken for seconds, and numbers that are no date.
const latestSeconds = 253_402_300_799

const profiles: Readonly<Record<Profile, { readonly types?: readonly string[]; readonly required: readonly string[] }>> = {
  rfc9068: { types: ['at+jwt'], required: ['sub', 'client_id', 'iat', 'jti'] },
  rfc8725: { required: ['sub'] },
}
const usualTypes: ReadonlySet<string> = new Set(['jwt', 'at+jwt'])

/** Checks and compiles the options of one issuer. */
export function issuerRow(options: IssuerOptions, clock: Clock): IssuerRow {
  checkOptions<IssuerOptions>('An issuer', options, {
    issuer: true,
    audience: true,
    keys: true,
    algorithms: true,
    profile: true,
    typ: true,
    claims: true,
    scopeClaim: true,
    subjectClaim: true,
    clockToleranceSeconds: true,
    maxAgeSeconds: true,
    expiry: true,
  })
  requireGiven(options, ['algorithms', 'profile', 'typ', 'claims', 'maxAgeSeconds'])
  const { profile, typ, claims = {}, expiry } = options
  if (profile !== undefined && !Object.hasOwn(profiles, profile)) throw invalid('profile', `one of ${Object.keys(profiles).join(', ')}`)
  if (profile === 'rfc8725' && typ === undefined) throw invalid('typ', 'given for the profile rfc8725 (RFC 8725 section 3.11)')
  if (expiry !== undefined && expiry !== withoutExpiry) throw invalid('expiry', 'absent, or withoutExpiry of @portcullis/jwt/danger')
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims))
    throw invalid('claims', 'a record of claims and what they must be')
  const named = profile === undefined ? undefined : profiles[profile]
  const types = typ === undefined ? named?.types : requireTexts('typ', typ)
  return {
    issuer: requireText('issuer', options.issuer),
    audiences: options.audience === anyAudience ? undefined : new Set(requireTexts('audience', options.audience)),
    keys: keysOf(options.keys, clock),
    algorithms: options.algorithms === undefined ? undefined : new Set(requireAlgorithms('algorithms', options.algorithms)),
    types: types === undefined ? undefined : new Set(types.map(plainType)),
    required: named?.required ?? [],
    matchers: Object.entries(claims).map(([claim, matcher]) => ({ claim, accepts: compile(claim, matcher) })),
    scopeClaim: options.scopeClaim === undefined ? 'scope' : requireText('scopeClaim', options.scopeClaim),
    subjectClaim: options.subjectClaim === undefined ? 'sub' : requireText('subjectClaim', options.subjectClaim),
    toleranceSeconds:
      options.clockToleranceSeconds === undefined
        ? 0
        : requireNumber('clockToleranceSeconds', options.clockToleranceSeconds, { min: 0, max: maxClockToleranceSeconds }),
    maxAgeSeconds:
      options.maxAgeSeconds === undefined
        ? undefined
        : requireNumber('maxAgeSeconds', options.maxAgeSeconds, { min: 1, max: longestAgeSeconds }),
    expires: expiry === undefined,
  }
}

/**
 * Refuses a demand that is there and `undefined`: what was meant to be one, and was not found, must not be none. Throws
 * `ERR_OPTION_INVALID`.
 */
export function requireGiven<T extends object>(options: T, demands: readonly (keyof T & string)[]): void {
  const lost = demands.find((name) => Object.hasOwn(options, name) && options[name] === undefined)
  if (lost !== undefined) throw invalid(lost, 'given or left out, and not undefined')
}

/** Checks the header against what is expected of the issuer's tokens; types of parameters were checked when it was read. */
export function checkHeader(row: IssuerRow, header: JwtHeader): JwtRefused | undefined {
  if (row.algorithms !== undefined && !row.algorithms.has(header.alg)) return refuse('ERR_JWT_ALGORITHM_NOT_ALLOWED', 'alg')
  if (header.typ === undefined) return row.types === undefined ? undefined : refuse('ERR_JWT_TYPE_UNEXPECTED', 'typ')
  return (row.types ?? usualTypes).has(plainType(header.typ)) ? undefined : refuse('ERR_JWT_TYPE_UNEXPECTED', 'typ')
}

/**
 * Checks types, times and audience, and that what is required is there. All of it needs no key, so that junk costs no
 * fetch and no signature; the issuer was found by `iss` already.
 */
export function checkClaims(row: IssuerRow, claims: JsonObject, nowMs: number): JwtRefused | undefined {
  const { aud, exp, nbf, iat, sub, jti } = claims
  const now = nowMs / 1000
  if (exp === undefined) {
    if (row.expires) return refuse('ERR_JWT_CLAIM_MISSING', 'exp')
  } else {
    if (!isNumericDate(exp)) return refuse('ERR_JWT_CLAIM_INVALID', 'exp')
    if (now >= exp + row.toleranceSeconds) return refuse('ERR_JWT_EXPIRED', 'exp')
  }
  if (nbf !== undefined) {
    if (!isNumericDate(nbf)) return refuse('ERR_JWT_CLAIM_INVALID', 'nbf')
    if (now < nbf - row.toleranceSeconds) return refuse('ERR_JWT_NOT_YET_VALID', 'nbf')
  }
  if (iat !== undefined && !isNumericDate(iat)) return refuse('ERR_JWT_CLAIM_INVALID', 'iat')
  if (row.maxAgeSeconds !== undefined) {
    if (iat === undefined) return refuse('ERR_JWT_CLAIM_MISSING', 'iat')
    if (now >= iat + row.maxAgeSeconds + row.toleranceSeconds || now < iat - row.toleranceSeconds) return refuse('ERR_JWT_TOO_OLD', 'iat')
  }
  if (sub !== undefined && typeof sub !== 'string') return refuse('ERR_JWT_CLAIM_INVALID', 'sub')
  if (jti !== undefined && typeof jti !== 'string') return refuse('ERR_JWT_CLAIM_INVALID', 'jti')
  const audience = checkAudience(row.audiences, aud)
  if (audience !== undefined) return audience
  for (const name of row.required) {
    if (!Object.hasOwn(claims, name)) return refuse('ERR_JWT_CLAIM_MISSING', name)
    if (claims[name] === '' || claims[name] === null) return refuse('ERR_JWT_CLAIM_INVALID', name)
  }
  return undefined
}

function checkAudience(audiences: ReadonlySet<string> | undefined, aud: unknown): JwtRefused | undefined {
  if (typeof aud === 'string')
    return audiences === undefined || audiences.has(aud) ? undefined : refuse('ERR_JWT_AUDIENCE_UNEXPECTED', 'aud')
  if (aud === undefined) return audiences === undefined ? undefined : refuse('ERR_JWT_CLAIM_MISSING', 'aud')
  if (!Array.isArray(aud)) return refuse('ERR_JWT_CLAIM_INVALID', 'aud')
  let found = audiences === undefined
  for (const name of aud as readonly unknown[]) {
    if (typeof name !== 'string') return refuse('ERR_JWT_CLAIM_INVALID', 'aud')
    found ||= audiences?.has(name) === true
  }
  return found ? undefined : refuse('ERR_JWT_AUDIENCE_UNEXPECTED', 'aud')
}

/** Checks the claims that the configuration asks more of. The signature is good by now, for these may be functions of the caller's. */
export function checkMatchers(row: IssuerRow, claims: JwtClaims): JwtRefused | undefined {
  for (const { claim, accepts } of row.matchers) {
    if (!Object.hasOwn(claims, claim)) return refuse('ERR_JWT_CLAIM_MISSING', claim)
    if (!accepts(claims[claim], claims)) return refuse('ERR_JWT_CLAIM_UNEXPECTED', claim)
  }
  return undefined
}

/** When a token with these claims is no longer accepted, in milliseconds: its expiry, its age, each with the tolerance. */
export function acceptedUntilMs(row: IssuerRow, claims: JwtClaims): number {
  const byExpiry = claims.exp === undefined ? Number.POSITIVE_INFINITY : claims.exp
  const byAge = row.maxAgeSeconds === undefined || claims.iat === undefined ? Number.POSITIVE_INFINITY : claims.iat + row.maxAgeSeconds
  return (Math.min(byExpiry, byAge) + row.toleranceSeconds) * 1000
}

/** From when on it is accepted, in milliseconds. */
export function acceptedFromMs(row: IssuerRow, claims: JwtClaims): number {
  return claims.nbf === undefined ? Number.NEGATIVE_INFINITY : (claims.nbf - row.toleranceSeconds) * 1000
}

/** A finite number of seconds since the epoch that is a date (RFC 7519 section 2). */
export function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value >= 0 && value <= latestSeconds
}

function compile(claim: string, matcher: ClaimMatcher): (value: unknown, claims: JwtClaims) => boolean {
  if (matcher === undefined || matcher === '' || Number.isNaN(matcher))
    throw invalid(`claims.${claim}`, 'a value, a list of values or a function')
  if (typeof matcher === 'function') {
    requireFunction(`claims.${claim}`, matcher)
    return (value, claims) => {
      try {
        const accepted: unknown = matcher(value, claims)
        return accepted === true
      } catch {
        return false
      }
    }
  }
  if (Array.isArray(matcher)) {
    if (matcher.length === 0 || matcher.includes(''))
      throw invalid(`claims.${claim}`, 'a list that is not empty, of values that are not empty')
    const values = structuredClone(matcher) as readonly unknown[]
    return (value) => values.some((one) => isDeepStrictEqual(one, value))
  }
  const expected: unknown = structuredClone(matcher)
  return (value) => isDeepStrictEqual(expected, value)
}

/** A media type as it is compared: without `application/`, in lower case (RFC 7515 section 4.1.9, RFC 2045). */
function plainType(type: string): string {
  const lower = type.toLowerCase()
  return lower.startsWith('application/') && !lower.includes('/', 12) ? lower.slice(12) : lower
}

function invalid(option: string, what: string): ConfigurationError<JwtErrorCode | 'ERR_OPTION_INVALID'> {
  return new ConfigurationError('ERR_OPTION_INVALID', `${option} must be ${what}.`)
}
