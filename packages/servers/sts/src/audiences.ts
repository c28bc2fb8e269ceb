import { checkOptions, ConfigurationError, requireNumber, requireTexts } from '@portcullis/core'
import type { Algorithm } from '@portcullis/jwt'

/** A service that tokens are for. */
export interface StsAudience {
  /** The scopes that it knows. */
  readonly scopes: readonly [string, ...string[]]
  /**
   * `jwt`: the service verifies tokens by itself (RFC 9068), and a revocation reaches it when they expire. `opaque`: it
   * asks by introspection, and a revocation counts at the next question. Default: `jwt`.
   */
  readonly format?: 'jwt' | 'opaque'
  /** What signs a JWT. Default: the algorithm of the first signing key. */
  readonly algorithm?: Algorithm
  /** How long tokens are valid, in seconds, at most a day. Default: 300, since a token that leaks should not serve for long. */
  readonly lifetimeSeconds?: number
}

/** {@link StsAudience}, checked. */
export interface Audience {
  readonly name: string
  readonly scopes: ReadonlySet<string>
  readonly format: 'jwt' | 'opaque'
  readonly algorithm: Algorithm | undefined
  readonly lifetimeSeconds: number
}

// The longest that an access token is valid.
const maxLifetimeSeconds = 86_400
const defaultLifetimeSeconds = 300
// RFC 6749 section 3.3.
const scopePattern = /^[\x21\x23-\x5B\x5D-\x7E]+$/
// They would ask for an OpenID Connect provider, which this is not.
const openIdScopes: ReadonlySet<string> = new Set(['openid', 'offline_access'])

/** Checks the table of audiences. A `Map`, so that no name that a peer chose resolves to something inherited. */
export function audiencesOf(options: Readonly<Record<string, StsAudience>>): ReadonlyMap<string, Audience> {
  if (typeof options !== 'object' || options === null || Object.keys(options).length === 0)
    throw new ConfigurationError('ERR_OPTION_MISSING', 'createSts audiences: name at least one service that tokens are for.')
  return new Map(Object.entries(options).map(([name, audience]) => [name, audienceOf(name, audience)]))
}

function audienceOf(name: string, options: StsAudience): Audience {
  const where = `createSts audiences["${name}"]`
  if (name.trim() === '') throw new ConfigurationError('ERR_OPTION_INVALID', `${where} needs a name.`)
  checkOptions<StsAudience>(where, options, { scopes: true, format: true, algorithm: true, lifetimeSeconds: true })
  const { format = 'jwt', algorithm, lifetimeSeconds = defaultLifetimeSeconds } = options
  if (format !== 'jwt' && format !== 'opaque') throw new ConfigurationError('ERR_OPTION_INVALID', `${where}: format is "jwt" or "opaque".`)
  if (algorithm !== undefined && format === 'opaque')
    throw new ConfigurationError('ERR_OPTION_INVALID', `${where}: an opaque token is signed by no algorithm.`)
  return {
    name,
    scopes: new Set(scopesOf(`${where}.scopes`, options.scopes)),
    format,
    algorithm,
    lifetimeSeconds: Math.floor(requireNumber(`${where}.lifetimeSeconds`, lifetimeSeconds, { min: 1, max: maxLifetimeSeconds })),
  }
}

/** Refuses anything but a list of scopes as RFC 6749 section 3.3 writes them. */
export function scopesOf(where: string, value: readonly string[]): readonly string[] {
  const scopes = requireTexts(where, value)
  for (const scope of scopes) {
    if (!scopePattern.test(scope)) throw new ConfigurationError('ERR_OPTION_INVALID', `${where}: "${scope}" is no scope.`)
    if (openIdScopes.has(scope))
      throw new ConfigurationError(
        'ERR_OPTION_INVALID',
        `${where}: "${scope}" belongs to OpenID Connect, which this service does not speak.`,
      )
  }
  return scopes
}
