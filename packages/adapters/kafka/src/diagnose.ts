import { isSecurityError } from '@portcullis/core'
import { diagnosis, errorsWithin, type Evidence } from '@portcullis/tls'
import { kafkaErrorCodes, type KafkaErrorCode } from './errors.ts'

/** The fields by which the libraries, the runtime and the protocol say what happened. */
function* wordsOf({ code, type, apiId }: Evidence & { readonly apiId?: unknown }): Generator<string> {
  for (const word of [code, type, apiId]) if (typeof word === 'string') yield word
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

/** What a failure of a Kafka library means; see `diagnosis` of `@portcullis/tls`. Texts are never looked at. */
export const { diagnose, codedAs } = diagnosis<KafkaErrorCode>({
  sentences: kafkaErrorCodes,
  families: {
    ERR_KAFKA_CREDENTIAL: 'configuration',
    ERR_KAFKA_CREDENTIAL_REFUSED: 'authentication',
    ERR_KAFKA_MECHANISM: 'configuration',
    ERR_KAFKA_BROKER_UNPROVEN: 'authentication',
    ERR_KAFKA_BROKER_UNTRUSTED: 'authentication',
    ERR_KAFKA_HOST_NAME: 'authentication',
    ERR_KAFKA_CERTIFICATE_REFUSED: 'authentication',
    // A broker that stops in the middle of a handshake looks the same, so it is worth another attempt.
    ERR_KAFKA_TLS_MISMATCH: 'unavailable',
    ERR_KAFKA_INSECURE: 'configuration',
    ERR_KAFKA_FORBIDDEN: 'authorization',
    ERR_KAFKA_TOPIC: 'configuration',
    ERR_KAFKA_MESSAGE: 'configuration',
    ERR_KAFKA_UNAVAILABLE: 'unavailable',
    ERR_KAFKA_WAITING: 'unavailable',
    ERR_KAFKA_HANDLER: 'unavailable',
    ERR_KAFKA_CLOSED: 'unavailable',
  },
  tls: {
    hostName: 'ERR_KAFKA_HOST_NAME',
    serverUntrusted: 'ERR_KAFKA_BROKER_UNTRUSTED',
    certificateRefused: 'ERR_KAFKA_CERTIFICATE_REFUSED',
    mismatch: 'ERR_KAFKA_TLS_MISMATCH',
  },
  meaningOf(evidence) {
    for (const word of wordsOf(evidence)) if (meanings.has(word)) return meanings.get(word)
    return undefined
  },
  otherwise: 'ERR_KAFKA_UNAVAILABLE',
})

/** Whether a broker said that the credential is wrong. */
export function isCredentialRefusal(error: unknown): boolean {
  return errorsWithin(error).some(
    (one) => [...wordsOf(one)].includes('SASL_AUTHENTICATION_FAILED') || isSecurityError(one, 'ERR_KAFKA_CREDENTIAL_REFUSED'),
  )
}
