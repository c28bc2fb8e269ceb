import {
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  isSecurityError,
  UnavailableError,
  type SecurityError,
} from '@portcullis/core'
import { tlsFailureOf, type TlsFailure } from '@portcullis/tls'
import { kafkaErrorCodes, type KafkaErrorCode } from './errors.ts'

/** The fields by which the libraries, the runtime and the protocol say what happened. Texts are never looked at. */
interface Evidence {
  readonly code?: unknown
  readonly type?: unknown
  readonly apiId?: unknown
  readonly cause?: unknown
  readonly errors?: unknown
}

// Libraries wrap an error once for each layer and attempt; beyond this there is nothing new.
const maxDepth = 8

/**
 * What a failure of a Kafka library means: one code for each thing that an operator does something different about. An
 * error of Portcullis within it, such as one of a credential source, is returned as it is.
 *
 * Outages are `unavailable` and worth another attempt; everything else is a refusal or a mistake and is not.
 */
export function diagnose(error: unknown): SecurityError {
  const found = [...chain(error, 0)]
  // What TLS found has a code of this package below. A refusal among several attempts says more than the outage after it.
  const ours = found.filter((one) => isSecurityError(one)).filter(({ code }) => !code.startsWith('ERR_TLS_'))
  const told = ours.find(({ family }) => family !== 'unavailable') ?? ours[0]
  if (told !== undefined) return told
  for (const one of found)
    for (const word of [one.code, one.type, one.apiId]) {
      const code = typeof word === 'string' ? meaningOf(word) : undefined
      if (code !== undefined) return codedAs(code, error)
    }
  return codedAs('ERR_KAFKA_UNAVAILABLE', error)
}

function meaningOf(word: string): KafkaErrorCode | undefined {
  const failure = tlsFailureOf(word)
  return failure === undefined ? meanings.get(word) : tlsCodes[failure]
}

/** Whether a broker said that the credential is wrong. */
export function isCredentialRefusal(error: unknown): boolean {
  return [...chain(error, 0)].some(
    (one) =>
      one.apiId === 'SASL_AUTHENTICATION_FAILED' ||
      one.type === 'SASL_AUTHENTICATION_FAILED' ||
      isSecurityError(one, 'ERR_KAFKA_CREDENTIAL_REFUSED'),
  )
}

/** An error of this package, for what a library says in its own words only. */
export function codedAs(code: KafkaErrorCode, cause: unknown): SecurityError {
  const message = kafkaErrorCodes[code]
  return new families[code](code, { message, cause })
}

const families: Readonly<Record<KafkaErrorCode, new (code: KafkaErrorCode, init: { message: string; cause: unknown }) => SecurityError>> = {
  ERR_KAFKA_CREDENTIAL: ConfigurationError,
  ERR_KAFKA_CREDENTIAL_REFUSED: AuthenticationError,
  ERR_KAFKA_MECHANISM: ConfigurationError,
  ERR_KAFKA_BROKER_UNPROVEN: AuthenticationError,
  ERR_KAFKA_BROKER_UNTRUSTED: AuthenticationError,
  ERR_KAFKA_HOST_NAME: AuthenticationError,
  ERR_KAFKA_CERTIFICATE_REFUSED: AuthenticationError,
  // A broker that stops in the middle of a handshake looks the same, so it is worth another attempt.
  ERR_KAFKA_TLS_MISMATCH: UnavailableError,
  ERR_KAFKA_INSECURE: ConfigurationError,
  ERR_KAFKA_FORBIDDEN: AuthorizationError,
  ERR_KAFKA_TOPIC: ConfigurationError,
  ERR_KAFKA_MESSAGE: ConfigurationError,
  ERR_KAFKA_UNAVAILABLE: UnavailableError,
  ERR_KAFKA_WAITING: UnavailableError,
  ERR_KAFKA_HANDLER: UnavailableError,
  ERR_KAFKA_CLOSED: UnavailableError,
}

const words: readonly (readonly [KafkaErrorCode, readonly string[]])[] = [
  [
    'ERR_KAFKA_FORBIDDEN',
    [
      'TOPIC_AUTHORIZATION_FAILED',
      'GROUP_AUTHORIZATION_FAILED',
      'CLUSTER_AUTHORIZATION_FAILED',
      'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
      'DELEGATION_TOKEN_AUTHORIZATION_FAILED',
    ],
  ],
  ['ERR_KAFKA_CREDENTIAL_REFUSED', ['SASL_AUTHENTICATION_FAILED']],
  ['ERR_KAFKA_MECHANISM', ['UNSUPPORTED_SASL_MECHANISM']],
  ['ERR_KAFKA_TOPIC', ['UNKNOWN_TOPIC_OR_PARTITION', 'INVALID_TOPIC_EXCEPTION']],
  ['ERR_KAFKA_MESSAGE', ['MESSAGE_TOO_LARGE', 'RECORD_LIST_TOO_LARGE']],
  // An error of our own that says so before the libraries wrap it.
  ['ERR_KAFKA_TLS_MISMATCH', ['ERR_KAFKA_TLS_MISMATCH']],
]

const meanings: ReadonlyMap<string, KafkaErrorCode> = new Map(words.flatMap(([code, list]) => list.map((word) => [word, code] as const)))

const tlsCodes: Readonly<Record<TlsFailure, KafkaErrorCode>> = {
  hostName: 'ERR_KAFKA_HOST_NAME',
  serverUntrusted: 'ERR_KAFKA_BROKER_UNTRUSTED',
  certificateRefused: 'ERR_KAFKA_CERTIFICATE_REFUSED',
  mismatch: 'ERR_KAFKA_TLS_MISMATCH',
}

function* chain(error: unknown, depth: number): Generator<Evidence> {
  if (typeof error !== 'object' || error === null || depth > maxDepth) return
  const one: Evidence = error
  yield one
  if (Array.isArray(one.errors)) for (const inner of one.errors) yield* chain(inner, depth + 1)
  yield* chain(one.cause, depth + 1)
}
