import {
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  isSecurityError,
  UnavailableError,
  type SecurityError,
} from '@portcullis/core'
import { tlsFailureOf, type TlsFailure } from '@portcullis/tls'
import { stanErrorCodes, type StanErrorCode } from './errors.ts'

interface Evidence {
  readonly code?: unknown
  readonly message?: unknown
  readonly chainedError?: unknown
  readonly cause?: unknown
}

// Libraries wrap an error once for each layer; beyond this there is nothing new.
const maxDepth = 8

/**
 * What a failure of the library means: one code for each thing that an operator does something different about. An
 * error of Portcullis within it, such as one of a credential source, is returned as it is. Outages are `unavailable`
 * and worth another attempt; everything else is a refusal or a mistake and is not.
 */
export function diagnose(error: unknown): SecurityError {
  const found = [...chain(error, 0)]
  const ours = found.find((one): one is SecurityError => isSecurityError(one) && !one.code.startsWith('ERR_TLS_'))
  if (ours !== undefined) return ours
  for (const one of found) {
    const code = meaningOf(one)
    if (code !== undefined) return codedAs(code, error)
  }
  return codedAs('ERR_STAN_UNAVAILABLE', error)
}

/** An error of this package, for what the library says in its own words only. */
export function codedAs(code: StanErrorCode, cause?: unknown): SecurityError {
  return new families[code](code, { message: stanErrorCodes[code], cause })
}

function meaningOf({ code, message }: Evidence): StanErrorCode | undefined {
  const failure = typeof code === 'string' ? tlsFailureOf(code) : undefined
  if (failure !== undefined) return tlsCodes[failure]
  const text = `${String(code)} ${String(message)}`
  return words.find(([word]) => word.test(text))?.[1]
}

// The library hands on the sentences of the two servers, with one code of its own for most of them.
const words: readonly (readonly [RegExp, StanErrorCode])[] = [
  // The server was too busy to judge, or forgot this client when it was started anew.
  [/authentication timeout|unknown clientid/i, 'ERR_STAN_UNAVAILABLE'],
  [/authorization violation|authentication expired|authentication revoked/i, 'ERR_STAN_CREDENTIAL_REFUSED'],
  [/permissions violation/i, 'ERR_STAN_FORBIDDEN'],
  [/maximum payload/i, 'ERR_STAN_MESSAGE'],
  [/NON_SECURE_CONN_REQ/, 'ERR_STAN_TLS_REQUIRED'],
  [/stan: .*(?:clientid|client id)/i, 'ERR_STAN_CLIENT_ID'],
  [/stan: .*(?:durable|subscription|queue|start position|ack wait|maxinflight)/i, 'ERR_STAN_SUBSCRIPTION'],
]

const tlsCodes: Readonly<Record<TlsFailure, StanErrorCode>> = {
  hostName: 'ERR_STAN_HOST_NAME',
  serverUntrusted: 'ERR_STAN_SERVER_UNTRUSTED',
  certificateRefused: 'ERR_STAN_CERTIFICATE_REFUSED',
  mismatch: 'ERR_STAN_TLS_MISMATCH',
}

const families: Readonly<Record<StanErrorCode, new (code: StanErrorCode, init: { message: string; cause: unknown }) => SecurityError>> = {
  ERR_STAN_CREDENTIAL: ConfigurationError,
  ERR_STAN_CREDENTIAL_REFUSED: AuthenticationError,
  ERR_STAN_FORBIDDEN: AuthorizationError,
  ERR_STAN_CLIENT_ID: ConfigurationError,
  ERR_STAN_SUBSCRIPTION: ConfigurationError,
  ERR_STAN_MESSAGE: ConfigurationError,
  ERR_STAN_SERVER_UNTRUSTED: AuthenticationError,
  ERR_STAN_HOST_NAME: AuthenticationError,
  ERR_STAN_CERTIFICATE_REFUSED: AuthenticationError,
  ERR_STAN_TLS_REQUIRED: ConfigurationError,
  // A server that stops in the middle of a handshake looks the same, so it is worth another attempt.
  ERR_STAN_TLS_MISMATCH: UnavailableError,
  ERR_STAN_UNAVAILABLE: UnavailableError,
  ERR_STAN_RENEWAL: UnavailableError,
  ERR_STAN_HANDLER: UnavailableError,
  ERR_STAN_CLOSED: UnavailableError,
}

function* chain(error: unknown, depth: number): Generator<Evidence> {
  // What the streaming server answers comes as a bare text.
  if (typeof error === 'string') yield { message: error }
  if (typeof error !== 'object' || error === null || depth > maxDepth) return
  const { chainedError, cause } = error as Evidence
  yield error
  yield* chain(chainedError, depth + 1)
  yield* chain(cause, depth + 1)
}
