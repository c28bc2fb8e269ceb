import {
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  isSecurityError,
  UnavailableError,
  type SecurityError,
} from '@portcullis/core'
import { tlsFailureOf, type TlsFailure } from '@portcullis/tls'
import { rabbitmqErrorCodes, type RabbitmqErrorCode } from './errors.ts'

interface Evidence {
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
 * Outages are `unavailable` and worth another attempt; everything else is a refusal or a mistake and is not.
 */
export function diagnose(error: unknown): SecurityError {
  const found = [...chain(error, 0)]
  const ours = found.find((one): one is SecurityError => isSecurityError(one) && !one.code.startsWith('ERR_TLS_'))
  if (ours !== undefined) return ours
  for (const one of found) {
    const code = meaningOf(one)
    if (code !== undefined) return codedAs(code, error)
  }
  return codedAs('ERR_RABBITMQ_UNAVAILABLE', error)
}

/** An error of this package, for what the library says in its own words only. */
export function codedAs(code: RabbitmqErrorCode, cause: unknown): SecurityError {
  return new families[code](code, { message: rabbitmqErrorCodes[code], cause })
}

function meaningOf({ code, message }: Evidence): RabbitmqErrorCode | undefined {
  if (typeof code === 'string') {
    const failure = tlsFailureOf(code)
    return failure && tlsCodes[failure]
  }
  if (typeof code === 'number') return replyCodes.get(code)
  if (typeof message !== 'string') return undefined
  // The library hands out what ends a handshake as text only; its number is the protocol's.
  const reply = /^Handshake terminated by server: (\d{3}) /.exec(message)?.[1]
  if (reply !== undefined) return handshakeCodes.get(Number(reply)) ?? 'ERR_RABBITMQ_UNAVAILABLE'
  // After the credential was accepted, the broker closes only for the virtual host.
  if (message.startsWith('Expected ConnectionOpenOk; got <ConnectionClose')) return 'ERR_RABBITMQ_VIRTUAL_HOST'
  return message.startsWith('SASL mechanism ') ? 'ERR_RABBITMQ_MECHANISM' : undefined
}

// AMQP 0-9-1 section 1.1, constants. At a channel or connection: what the user may do.
const replyCodes: ReadonlyMap<number, RabbitmqErrorCode> = new Map([
  [403, 'ERR_RABBITMQ_FORBIDDEN'],
  [404, 'ERR_RABBITMQ_NOT_FOUND'],
  [405, 'ERR_RABBITMQ_PRECONDITION'],
  [406, 'ERR_RABBITMQ_PRECONDITION'],
  [311, 'ERR_RABBITMQ_MESSAGE'],
  [530, 'ERR_RABBITMQ_CREDENTIAL_REFUSED'],
])
// The same numbers while the connection is opened: who the user is.
const handshakeCodes: ReadonlyMap<number, RabbitmqErrorCode> = new Map([
  [403, 'ERR_RABBITMQ_CREDENTIAL_REFUSED'],
  [402, 'ERR_RABBITMQ_VIRTUAL_HOST'],
  [530, 'ERR_RABBITMQ_VIRTUAL_HOST'],
  [504, 'ERR_RABBITMQ_MECHANISM'],
])

const tlsCodes: Readonly<Record<TlsFailure, RabbitmqErrorCode>> = {
  hostName: 'ERR_RABBITMQ_HOST_NAME',
  serverUntrusted: 'ERR_RABBITMQ_BROKER_UNTRUSTED',
  certificateRefused: 'ERR_RABBITMQ_CERTIFICATE_REFUSED',
  mismatch: 'ERR_RABBITMQ_TLS_MISMATCH',
}

const families: Readonly<
  Record<RabbitmqErrorCode, new (code: RabbitmqErrorCode, init: { message: string; cause: unknown }) => SecurityError>
> = {
  ERR_RABBITMQ_CREDENTIAL: ConfigurationError,
  ERR_RABBITMQ_CREDENTIAL_REFUSED: AuthenticationError,
  ERR_RABBITMQ_MECHANISM: ConfigurationError,
  ERR_RABBITMQ_VIRTUAL_HOST: AuthorizationError,
  ERR_RABBITMQ_FORBIDDEN: AuthorizationError,
  ERR_RABBITMQ_NOT_FOUND: ConfigurationError,
  ERR_RABBITMQ_PRECONDITION: ConfigurationError,
  ERR_RABBITMQ_UNROUTABLE: ConfigurationError,
  ERR_RABBITMQ_MESSAGE: ConfigurationError,
  ERR_RABBITMQ_BROKER_UNTRUSTED: AuthenticationError,
  ERR_RABBITMQ_HOST_NAME: AuthenticationError,
  ERR_RABBITMQ_CERTIFICATE_REFUSED: AuthenticationError,
  // A broker that stops in the middle of a handshake looks the same, so it is worth another attempt.
  ERR_RABBITMQ_TLS_MISMATCH: UnavailableError,
  ERR_RABBITMQ_UNAVAILABLE: UnavailableError,
  ERR_RABBITMQ_RENEWAL: UnavailableError,
  ERR_RABBITMQ_HANDLER: UnavailableError,
  ERR_RABBITMQ_AUTHORITY_CALL: ConfigurationError,
  ERR_RABBITMQ_AUTHORITY_NAME: AuthenticationError,
  ERR_RABBITMQ_AUTHORITY_UNKNOWN: AuthenticationError,
  ERR_RABBITMQ_AUTHORITY_FAULT: UnavailableError,
  ERR_RABBITMQ_CLOSED: UnavailableError,
}

function* chain(error: unknown, depth: number): Generator<Evidence> {
  if (typeof error !== 'object' || error === null || depth > maxDepth) return
  yield error
  yield* chain((error as Evidence).cause, depth + 1)
}
