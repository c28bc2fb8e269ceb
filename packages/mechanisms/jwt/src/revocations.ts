import { ConfigurationError, isSecurityError, UnavailableError, type Revocation } from '@portcullis/core'
import type { JwtClaims } from './claims.ts'
import type { JwtErrorCode } from './errors.ts'

/**
 * Tells which tokens were revoked before their time. Asked after every other check and on every cache hit, so it should
 * answer out of memory.
 */
export interface Revocations {
  /** `false` if the token still counts. Anything else refuses it; a throw is an outage, never an acceptance. */
  isRevoked(claims: JwtClaims): boolean | Promise<boolean>
  /** Switches that end sessions and remembered verdicts which rest on the token, when it is revoked later. */
  handlesOf?(claims: JwtClaims): readonly Revocation[]
}

/** {@link Revocations}, compiled. */
export interface RevocationCheck {
  isRevoked(claims: JwtClaims): boolean | Promise<boolean>
  handlesOf(claims: JwtClaims): readonly Revocation[]
}

const none: readonly Revocation[] = Object.freeze([])

/** Checks and compiles the option `revocations`. */
export function compileRevocations(revocations: Revocations | ((claims: JwtClaims) => boolean | Promise<boolean>)): RevocationCheck {
  const list: Revocations = typeof revocations === 'function' ? { isRevoked: revocations } : revocations
  if (typeof list !== 'object' || list === null || typeof list.isRevoked !== 'function') {
    throw new ConfigurationError('ERR_OPTION_INVALID', 'revocations must be a function or have a function isRevoked.')
  }
  return {
    isRevoked(claims) {
      try {
        const answer = list.isRevoked(claims)
        return answer instanceof Promise ? answer.then(notFalse, unavailable) : notFalse(answer)
      } catch (error) {
        return unavailable(error)
      }
    },
    handlesOf: (claims) => list.handlesOf?.(claims) ?? none,
  }
}

function notFalse(answer: unknown): boolean {
  return answer !== false
}

function unavailable(cause: unknown): never {
  if (isSecurityError(cause)) throw cause
  throw new UnavailableError<JwtErrorCode>('ERR_JWT_REVOCATION_UNAVAILABLE', {
    message: 'Whether a token was revoked could not be found out.',
    cause,
  })
}
