import { granted, requireNumber, requireTexts, stepUp, systemClock, type Authorizer, type Clock } from '@portcullis/core'

/**
 * Accepts whose authentication was of one of these classes (`acr`); others are told which would do (RFC 9470 section 3).
 * Classes are compared exactly: none is known to be stronger than another.
 */
export function acr(...values: readonly [string, ...string[]]): Authorizer {
  const accepted = requireTexts('acr', values)
  const denied = stepUp(`acr ${accepted.join(' ')}`, { acrValues: accepted })
  return (principal) => {
    const value = principal.kind === 'principal' ? principal.claims['acr'] : undefined
    return typeof value === 'string' && accepted.includes(value) ? granted : denied
  }
}

/**
 * Accepts who authenticated at most so many seconds ago (`auth_time`); others are told so (RFC 9470 section 3). Who does
 * not say when is not accepted.
 */
export function maxAge(seconds: number, options: { readonly clock?: Clock } = {}): Authorizer {
  requireNumber('maxAge seconds', seconds, { min: 1, max: 366 * 86_400 })
  const { clock = systemClock } = options
  const denied = stepUp(`maxAge ${seconds}`, { maxAgeSeconds: seconds })
  return (principal) => {
    const at = principal.kind === 'principal' ? principal.authenticatedAt?.getTime() : undefined
    return at !== undefined && clock.now() - at <= seconds * 1000 ? granted : denied
  }
}
