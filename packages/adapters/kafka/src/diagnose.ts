import {
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  isSecurityError,
  UnavailableError,
  type SecurityError,
} from '@portcullis/core'
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
      const code = typeof word === 'string' ? meanings.get(word) : undefined
      if (code !== undefined) return codedAs(code, error)
    }
  return codedAs('ERR_KAFKA_UNAVAILABLE', error)
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
  ['ERR_KAFKA_HOST_NAME', ['ERR_TLS_HOST_NAME', 'ERR_TLS_CERT_ALTNAME_INVALID']],
  [
    'ERR_KAFKA_BROKER_UNTRUSTED',
    [
      'ERR_TLS_SERVER_UNTRUSTED',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
      'UNABLE_TO_GET_ISSUER_CERT',
      'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
      'SELF_SIGNED_CERT_IN_CHAIN',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'CERT_HAS_EXPIRED',
      'CERT_NOT_YET_VALID',
      'CERT_SIGNATURE_FAILURE',
      'CERT_UNTRUSTED',
      'CERT_REVOKED',
      'INVALID_CA',
      'INVALID_PURPOSE',
      'PATH_LENGTH_EXCEEDED',
    ],
  ],
  [
    'ERR_KAFKA_CERTIFICATE_REFUSED',
    [
      'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
      'ERR_SSL_TLSV1_ALERT_UNKNOWN_CA',
      'ERR_SSL_SSL/TLS_ALERT_BAD_CERTIFICATE',
      'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_UNKNOWN',
      'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
      'ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN',
      'ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED',
      'ERR_SSL_SSL/TLS_ALERT_CERTIFICATE_EXPIRED',
      'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
      'ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE',
      'ERR_SSL_TLSV1_ALERT_ACCESS_DENIED',
    ],
  ],
  [
    'ERR_KAFKA_TLS_MISMATCH',
    ['ERR_KAFKA_TLS_MISMATCH', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG', 'ERR_SSL_HTTP_REQUEST'],
  ],
]

const meanings: ReadonlyMap<string, KafkaErrorCode> = new Map(words.flatMap(([code, list]) => list.map((word) => [word, code] as const)))

function* chain(error: unknown, depth: number): Generator<Evidence> {
  if (typeof error !== 'object' || error === null || depth > maxDepth) return
  const one: Evidence = error
  yield one
  if (Array.isArray(one.errors)) for (const inner of one.errors) yield* chain(inner, depth + 1)
  yield* chain(one.cause, depth + 1)
}
