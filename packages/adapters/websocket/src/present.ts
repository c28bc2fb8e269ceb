import {
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  formatAuthorization,
  parseChallenges,
  UnavailableError,
  type Credential,
  type SecurityError,
} from '@portcullis/core'
import type { WebSocketErrorCode } from './errors.ts'

/** The fields of the handshake that present a credential. Throws `ERR_WEBSOCKET_CREDENTIAL` for a kind that has none. */
export function present(credential: Credential): Readonly<Record<string, string>> {
  const authorization = formatAuthorization(credential)
  if (authorization !== undefined) return credential.kind === 'dpop' ? { authorization, dpop: credential.proof } : { authorization }
  if (credential.kind === 'apiKey') return { [credential.name]: credential.key.reveal() }
  throw new ConfigurationError<WebSocketErrorCode>(
    'ERR_WEBSOCKET_CREDENTIAL',
    `A WebSocket handshake has no field for a credential of kind "${credential.kind}".`,
  )
}

/** The same for a session frame, or `undefined` for what can only come with a handshake. */
export function presentInBand(credential: Credential): string | undefined {
  return credential.kind === 'dpop' ? undefined : formatAuthorization(credential)
}

/** How a listener answered a handshake that it did not accept. */
export interface Refused {
  readonly status: number
  readonly challenges: string
  readonly retryAfterMs: number | undefined
}

/** Whether another credential of the same kind would help: 401, and a challenge that names an error (RFC 6750 section 3.1). */
export function heed({ status, challenges }: Refused): boolean {
  return status === 401 && parseChallenges(challenges).some(({ parameters }) => parameters.has('error'))
}

/** The error of a handshake that was refused. */
export function handshakeError(origin: string, { status, retryAfterMs }: Refused): SecurityError {
  const message = `${origin} answered the handshake with ${status}.`
  if (status === 401 || status === 400) return new AuthenticationError<WebSocketErrorCode>('ERR_WEBSOCKET_REFUSED', message)
  if (status === 403) return new AuthorizationError<WebSocketErrorCode>('ERR_WEBSOCKET_FORBIDDEN', message)
  return new UnavailableError<WebSocketErrorCode>('ERR_WEBSOCKET_UNAVAILABLE', {
    message,
    ...(retryAfterMs !== undefined && { retryAfterMs }),
  })
}

/**
 * The error of a connection that was closed by the far end. It is worth connecting again where that was not meant for
 * good: the connection broke, the listener restarts or is overloaded, or it wants another credential (4401).
 */
export function closeError(
  origin: string,
  code: number,
): { readonly error: SecurityError; readonly again: boolean; readonly refused: boolean } {
  const message = `${origin} closed the connection with ${code}.`
  if (code === 4401)
    return { error: new AuthenticationError<WebSocketErrorCode>('ERR_WEBSOCKET_REFUSED', message), again: true, refused: true }
  if (forGood.has(code) || code >= 4000)
    return { error: new AuthorizationError<WebSocketErrorCode>('ERR_WEBSOCKET_FORBIDDEN', message), again: false, refused: false }
  return { error: new UnavailableError<WebSocketErrorCode>('ERR_WEBSOCKET_CLOSED', message), again: code !== 1000, refused: false }
}

// RFC 6455 section 7.4.1: protocol error, unsupported data, invalid data, policy violation, message too big, extension missing.
const forGood: ReadonlySet<number> = new Set([1002, 1003, 1007, 1008, 1009, 1010])
