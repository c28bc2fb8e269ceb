import { isSecurityError, UnavailableError } from '@portcullis/core'
import { errors } from 'oidc-provider'

/** What a client is told when nobody can tell at the moment: 503, so that it tries again rather than gives up its grant. */
export class TemporarilyUnavailable extends errors.OIDCProviderError {
  readonly retryAfterMs: number | undefined

  constructor(cause: unknown, retryAfterMs?: number) {
    super(503, 'temporarily_unavailable', { cause, detail: isSecurityError(cause) ? cause.code : 'unexpected error' })
    // The base class keeps the text of every 5xx to itself; this one is made for the peer.
    this.expose = true
    this.error_description = 'the request cannot be judged at the moment'
    this.retryAfterMs = retryAfterMs ?? (cause instanceof UnavailableError ? cause.retryAfterMs : undefined)
  }
}

/** Refuses a grant; `detail` is for the log. */
export function invalidGrant(detail: string): Error {
  return new errors.InvalidGrant(detail)
}

/** Refuses what the client was not set up for. */
export function unauthorizedClient(description: string): Error {
  return new errors.UnauthorizedClient(description)
}
