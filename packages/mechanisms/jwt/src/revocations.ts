import { ConfigurationError, isSecurityError, UnavailableError, type Revocation } from '@portcullis/core'
import type { JwtClaims } from './claims.ts'
import type { JwtErrorCode } from './errors.ts'

/**
 * Tells which tokens were revoked before their time: `denyList()`, or one of your own.
 */
export interface Revocations {
  /**
   * `false` if the token still counts. Anything else refuses it; a throw is an outage, never an acceptance. Asked after
   * every other check and, without {@link handlesOf}, on every cache hit: it should answer out of memory.
   */
  isRevoked(claims: JwtClaims): boolean | Promise<boolean>
  /**
   * Switches that are revoked when the token is, later. They end live sessions at once, and remembered verdicts without
   * another question.
   */
  handlesOf?(claims: JwtClaims): readonly Revocation[]
}

/** {@link Revocations}, compiled. */
export interface RevocationCheck {
  isRevoked(claims: JwtClaims): boolean | Promise<boolean>
  /** `undefined` where there are none, and a cache hit asks again. */
  handlesOf(claims: JwtClaims): readonly Revocation[] | undefined
}

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
    handlesOf: (claims) => list.handlesOf?.(claims),
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
