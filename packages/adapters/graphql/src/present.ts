import {
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  formatAuthorization,
  isSecurityError,
  UnavailableError,
  type Credential,
  type SecurityError,
} from '@portcullis/core'
import type { GraphqlErrorCode } from './errors.ts'

/** The payload of `connection_init`, or of a renewing ping. Throws `ERR_GRAPHQL_CREDENTIAL` for what no message can carry. */
export function presentInBand(credential: Credential): { readonly authorization: string } {
  const authorization = credential.kind === 'dpop' ? undefined : formatAuthorization(credential)
  if (authorization === undefined)
    throw new ConfigurationError<GraphqlErrorCode>(
      'ERR_GRAPHQL_CREDENTIAL',
      `A message of a WebSocket has no place for a credential of kind "${credential.kind}".`,
    )
  return { authorization }
}

/** The error of a request that was refused as a whole. */
export function requestError(origin: string, status: number, retryAfter: string | null): SecurityError | undefined {
  const message = `${origin} answered with ${status}.`
  if (status === 401) return new AuthenticationError<GraphqlErrorCode>('ERR_GRAPHQL_REFUSED', message)
  if (status === 403) return new AuthorizationError<GraphqlErrorCode>('ERR_GRAPHQL_FORBIDDEN', message)
  if (status !== 429 && status < 500) return undefined
  const seconds = Number(retryAfter)
  return new UnavailableError<GraphqlErrorCode>('ERR_GRAPHQL_UNAVAILABLE', {
    message,
    ...(status === 429 && { reason: 'overload' }),
    ...(retryAfter !== null && Number.isFinite(seconds) && seconds >= 0 && { retryAfterMs: seconds * 1000 }),
  })
}

/** The error of a connection that ended, from what the library throws: a close event, an error event, an error, or a list of GraphQL errors. */
export function socketError(origin: string, thrown: unknown): SecurityError {
  if (isSecurityError(thrown)) return thrown
  const code = closeCodeOf(thrown)
  const message = code === undefined ? `The connection to ${origin} broke.` : `${origin} closed the connection with ${code}.`
  if (code === 4401 || code === 4400) return new AuthenticationError<GraphqlErrorCode>('ERR_GRAPHQL_REFUSED', { message, cause: thrown })
  if (code === 4403) return new AuthorizationError<GraphqlErrorCode>('ERR_GRAPHQL_FORBIDDEN', { message, cause: thrown })
  return new UnavailableError<GraphqlErrorCode>('ERR_GRAPHQL_UNAVAILABLE', {
    message,
    cause: (thrown as { error?: unknown } | null)?.error ?? thrown,
  })
}

/** The code of a close event. */
export function closeCodeOf(thrown: unknown): number | undefined {
  const { code } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as { readonly code?: unknown }
  return typeof code === 'number' ? code : undefined
}
