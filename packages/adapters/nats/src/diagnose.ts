import { diagnosis, type Evidence } from '@portcullis/tls'
import { natsErrorCodes, type NatsErrorCode } from './errors.ts'

function meaningOf({ name, message }: Evidence): NatsErrorCode | undefined {
  const text = typeof message === 'string' ? message : ''
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

/**
 * What a failure of the library means; see `diagnosis` of `@portcullis/tls`. That a server refused a client certificate
 * is not among what the library tells; `client` asks with a connection of its own.
 */
export const { diagnose, codedAs } = diagnosis<NatsErrorCode>({
  sentences: natsErrorCodes,
  families: {
    ERR_NATS_CREDENTIAL: 'configuration',
    ERR_NATS_CREDENTIAL_REFUSED: 'authentication',
    ERR_NATS_FORBIDDEN: 'authorization',
    ERR_NATS_NOT_FOUND: 'configuration',
    ERR_NATS_UNROUTABLE: 'configuration',
    ERR_NATS_NO_RESPONDER: 'unavailable',
    ERR_NATS_REPLY_REFUSED: 'authentication',
    ERR_NATS_REQUEST_REFUSED: 'authorization',
    ERR_NATS_MESSAGE: 'configuration',
    ERR_NATS_STREAM: 'configuration',
    ERR_NATS_SERVER_UNTRUSTED: 'authentication',
    ERR_NATS_HOST_NAME: 'authentication',
    ERR_NATS_CERTIFICATE_REFUSED: 'authentication',
    ERR_NATS_TLS_REQUIRED: 'configuration',
    // A server that stops in the middle of a handshake looks the same, so it is worth another attempt.
    ERR_NATS_TLS_MISMATCH: 'unavailable',
    ERR_NATS_UNAVAILABLE: 'unavailable',
    ERR_NATS_RENEWAL: 'unavailable',
    ERR_NATS_HANDLER: 'unavailable',
    ERR_NATS_CALLOUT: 'unavailable',
    ERR_NATS_CLOSED: 'unavailable',
  },
  tls: {
    hostName: 'ERR_NATS_HOST_NAME',
    serverUntrusted: 'ERR_NATS_SERVER_UNTRUSTED',
    certificateRefused: 'ERR_NATS_CERTIFICATE_REFUSED',
    mismatch: 'ERR_NATS_TLS_MISMATCH',
  },
  meaningOf,
  otherwise: 'ERR_NATS_UNAVAILABLE',
})
