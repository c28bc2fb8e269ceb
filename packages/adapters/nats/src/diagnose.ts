import {
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  isSecurityError,
  UnavailableError,
  type SecurityError,
} from '@portcullis/core'
import { tlsFailureOf, type TlsFailure } from '@portcullis/tls'
import { natsErrorCodes, type NatsErrorCode } from './errors.ts'

interface Evidence {
  readonly name?: unknown
  readonly code?: unknown
  readonly message?: unknown
  readonly cause?: unknown
}

// Libraries wrap an error once for each layer; beyond this there is nothing new.
const maxDepth = 8

/**
 * What a failure of the library means: one code for each thing that an operator does something different about. An
 * error of Portcullis within it, such as one of a credential source, is returned as it is.
 *
 * Outages are `unavailable` and worth another attempt; everything else is a refusal or a mistake and is not. That a
 * server refused a client certificate is not among what the library tells; `client` asks with a connection of its own.
 */
export function diagnose(error: unknown): SecurityError {
  const found = [...chain(error, 0)]
  const ours = found.find((one): one is SecurityError => isSecurityError(one) && !one.code.startsWith('ERR_TLS_'))
  if (ours !== undefined) return ours
  for (const one of found) {
    const code = meaningOf(one)
    if (code !== undefined) return codedAs(code, error)
  }
  return codedAs('ERR_NATS_UNAVAILABLE', error)
}

/** An error of this package, for what the library says in its own words only. */
export function codedAs(code: NatsErrorCode, cause: unknown): SecurityError {
  return new families[code](code, { message: natsErrorCodes[code], cause })
}

function meaningOf({ name, code, message }: Evidence): NatsErrorCode | undefined {
  const text = typeof message === 'string' ? message : ''
  if (typeof code === 'string') {
    const failure = tlsFailureOf(code)
    return failure && tlsCodes[failure]
  }
  // What was presented came too late for the server; the library has one class for this and a refusal.
  if (/authentication timeout/i.test(text)) return 'ERR_NATS_UNAVAILABLE'
  // The library has one class for all of these and a sentence for each.
  if (text.includes("does not support 'tls'")) return 'ERR_NATS_TLS_REQUIRED'
  if (text.includes('unexpected response from server')) return 'ERR_NATS_TLS_MISMATCH'
  if (text.includes('max_payload')) return 'ERR_NATS_MESSAGE'
  return typeof name === 'string' ? classes.get(name) : undefined
}

const classes: ReadonlyMap<string, NatsErrorCode> = new Map([
  ['AuthorizationError', 'ERR_NATS_CREDENTIAL_REFUSED'],
  ['UserAuthenticationExpiredError', 'ERR_NATS_CREDENTIAL_REFUSED'],
  ['PermissionViolationError', 'ERR_NATS_FORBIDDEN'],
  ['JetStreamNotEnabled', 'ERR_NATS_UNROUTABLE'],
  ['StreamNotFoundError', 'ERR_NATS_NOT_FOUND'],
  ['ConsumerNotFoundError', 'ERR_NATS_NOT_FOUND'],
  ['JetStreamApiError', 'ERR_NATS_STREAM'],
  ['NoRespondersError', 'ERR_NATS_NO_RESPONDER'],
  ['NoResponders', 'ERR_NATS_NO_RESPONDER'],
  ['InvalidSubjectError', 'ERR_NATS_MESSAGE'],
  ['ClosedConnectionError', 'ERR_NATS_CLOSED'],
  ['DrainingConnectionError', 'ERR_NATS_CLOSED'],
])

const tlsCodes: Readonly<Record<TlsFailure, NatsErrorCode>> = {
  hostName: 'ERR_NATS_HOST_NAME',
  serverUntrusted: 'ERR_NATS_SERVER_UNTRUSTED',
  certificateRefused: 'ERR_NATS_CERTIFICATE_REFUSED',
  mismatch: 'ERR_NATS_TLS_MISMATCH',
}

const families: Readonly<Record<NatsErrorCode, new (code: NatsErrorCode, init: { message: string; cause: unknown }) => SecurityError>> = {
  ERR_NATS_CREDENTIAL: ConfigurationError,
  ERR_NATS_CREDENTIAL_REFUSED: AuthenticationError,
  ERR_NATS_FORBIDDEN: AuthorizationError,
  ERR_NATS_NOT_FOUND: ConfigurationError,
  ERR_NATS_UNROUTABLE: ConfigurationError,
  ERR_NATS_NO_RESPONDER: UnavailableError,
  ERR_NATS_REPLY_REFUSED: AuthenticationError,
  ERR_NATS_REQUEST_REFUSED: AuthorizationError,
  ERR_NATS_MESSAGE: ConfigurationError,
  ERR_NATS_STREAM: ConfigurationError,
  ERR_NATS_SERVER_UNTRUSTED: AuthenticationError,
  ERR_NATS_HOST_NAME: AuthenticationError,
  ERR_NATS_CERTIFICATE_REFUSED: AuthenticationError,
  ERR_NATS_TLS_REQUIRED: ConfigurationError,
  // A server that stops in the middle of a handshake looks the same, so it is worth another attempt.
  ERR_NATS_TLS_MISMATCH: UnavailableError,
  ERR_NATS_UNAVAILABLE: UnavailableError,
  ERR_NATS_RENEWAL: UnavailableError,
  ERR_NATS_HANDLER: UnavailableError,
  ERR_NATS_CALLOUT: UnavailableError,
  ERR_NATS_CLOSED: UnavailableError,
}

function* chain(error: unknown, depth: number): Generator<Evidence> {
  if (typeof error !== 'object' || error === null || depth > maxDepth) return
  yield error
  yield* chain((error as Evidence).cause, depth + 1)
}
