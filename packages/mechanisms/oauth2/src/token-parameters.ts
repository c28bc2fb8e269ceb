import { checkOptions, originOf, requireTexts } from '@portcullis/core'
import { mistake } from './errors.ts'

/** Additional parameters of a request (O-11, O-15), by name; a list repeats the name. Encoded as the form demands. */
export type Parameters = Readonly<Record<string, string | readonly string[]>>

/** What the token for one target is to be. */
export interface TokenTarget {
  /** A list, or a text with spaces. Default: the scopes of the source. */
  readonly scopes?: string | readonly [string, ...string[]]
  /** Who may take the token, as URIs (RFC 8707 section 2). */
  readonly resource?: string | readonly [string, ...string[]]
  /** The same by name, as token exchange (RFC 8693 section 2.1) and some servers know it. */
  readonly audience?: string | readonly [string, ...string[]]
  /** Added to those of the source, and in their place where both have one. */
  readonly parameters?: Parameters
}

/**
 * The origins that may see the tokens: a list, or a record that says what each one's token is to be. Each origin gets a
 * token of its own; that it is good for that origin alone takes `resource` or `audience`, if the server knows them
 * (RFC 9700 section 2.3).
 */
export type TokenTargets = readonly [string, ...string[]] | Readonly<Record<string, TokenTarget>>

const reserved: ReadonlySet<string> = new Set([
  'grant_type', 'scope', 'resource', 'audience', 'client_id', 'client_secret', 'client_assertion', 'client_assertion_type',
  'username', 'password', 'refresh_token', 'assertion', 'code', 'code_verifier', 'code_challenge', 'code_challenge_method',
  'redirect_uri', 'response_type', 'state', 'device_code', 'token', 'token_type_hint', 'subject_token', 'subject_token_type',
  'actor_token', 'actor_token_type', 'requested_token_type',
]) // prettier-ignore

// RFC 6749 section 3.3.
const scopeToken = /^[\x21\x23-\x5b\x5d-\x7e]+$/

/** Refuses parameters whose names are the protocol's own (`ERR_OAUTH_PARAMETER_RESERVED`); returns them as pairs. */
export function parameterPairs(where: string, parameters: Parameters = {}): readonly (readonly [string, string])[] {
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters))
    throw mistake('ERR_OPTION_INVALID', `${where} must be a record of names and texts.`)
  return Object.entries(parameters).flatMap(([name, value]) => {
    if (reserved.has(name)) throw mistake('ERR_OAUTH_PARAMETER_RESERVED', `${where}: "${name}" is not set by hand.`)
    const values = Array.isArray(value) ? (value as readonly unknown[]) : [value]
    return values.map((one) => {
      if (typeof one !== 'string') throw mistake('ERR_OPTION_INVALID', `${where}: "${name}" must be a text or a list of texts.`)
      return [name, one] as const
    })
  })
}

/** The scopes of an option as one text; `undefined` if none were given. */
export function scopeText(where: string, scopes: string | readonly string[] | undefined): string | undefined {
  if (scopes === undefined) return undefined
  const list = requireTexts(where, typeof scopes === 'string' ? scopes.split(' ').filter((one) => one !== '') : scopes)
  const wrong = list.find((one) => !scopeToken.test(one))
  if (wrong !== undefined) throw mistake('ERR_OPTION_INVALID', `${where}: "${wrong}" is no scope (RFC 6749 section 3.3).`)
  return list.join(' ')
}

/** What is asked for one target, compiled. */
export interface Wanted {
  readonly scope: string | undefined
  readonly pairs: readonly (readonly [string, string])[]
}

/** Checks and compiles the targets of a source, by origin as `originOf` of the core writes it. */
export function wantedByOrigin(
  where: string,
  targets: TokenTargets,
  common: { readonly scopes?: string | readonly string[]; readonly parameters?: Parameters },
): ReadonlyMap<string, Wanted> {
  if (typeof targets !== 'object' || targets === null) throw mistake('ERR_OPTION_MISSING', `${where} needs targets.`)
  const entries: readonly (readonly [string, TokenTarget])[] = isList(targets)
    ? targets.map((origin) => [origin, {}] as const)
    : Object.entries(targets)
  if (entries.length === 0) throw mistake('ERR_OPTION_INVALID', `${where} targets must not be empty.`)
  const commonScope = scopeText(`${where} scopes`, common.scopes)
  const commonPairs = parameterPairs(`${where} parameters`, common.parameters)
  return new Map(
    entries.map(([origin, target]) => {
      const place = `${where} targets["${origin}"]`
      checkOptions<TokenTarget>(place, target, { scopes: true, resource: true, audience: true, parameters: true })
      const own = parameterPairs(`${place} parameters`, target.parameters)
      const pairs = [
        ...commonPairs.filter(([name]) => !own.some(([other]) => other === name)),
        ...own,
        ...texts(`${place} resource`, target.resource).map((uri) => ['resource', requireResource(place, uri)] as const),
        ...texts(`${place} audience`, target.audience).map((name) => ['audience', name] as const),
      ]
      return [originOf(origin), { scope: scopeText(`${place} scopes`, target.scopes) ?? commonScope, pairs }]
    }),
  )
}

/** The form that asks for what is wanted, with what a request has of its own. */
export function formOf({ scope, pairs }: Wanted, own: Readonly<Record<string, string | undefined>>): URLSearchParams {
  const form = new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, value]))
  for (const [name, value] of Object.entries({ scope, ...own })) if (value !== undefined) form.set(name, value)
  return form
}

function isList(targets: TokenTargets): targets is readonly [string, ...string[]] {
  return Array.isArray(targets)
}

function texts(where: string, value: string | readonly string[] | undefined): readonly string[] {
  return value === undefined ? [] : requireTexts(where, value)
}

// RFC 8707 section 2: an absolute URI without a fragment.
function requireResource(where: string, uri: string): string {
  if (!URL.canParse(uri) || uri.includes('#'))
    throw mistake('ERR_OPTION_INVALID', `${where} resource must be an absolute URI without a fragment.`)
  return uri
}
