import { diagnosis, type Evidence } from '@portcullis/tls'
import { rabbitmqErrorCodes, type RabbitmqErrorCode } from './errors.ts'

function meaningOf({ code, message }: Evidence): RabbitmqErrorCode | undefined {
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
  // What is longer than the broker takes in one frame: headers and properties must fit into one.
  [501, 'ERR_RABBITMQ_MESSAGE'],
  [530, 'ERR_RABBITMQ_CREDENTIAL_REFUSED'],
])
// The same numbers while the connection is opened: who the user is.
const handshakeCodes: ReadonlyMap<number, RabbitmqErrorCode> = new Map([
  [403, 'ERR_RABBITMQ_CREDENTIAL_REFUSED'],
  [402, 'ERR_RABBITMQ_VIRTUAL_HOST'],
  [530, 'ERR_RABBITMQ_VIRTUAL_HOST'],
  [504, 'ERR_RABBITMQ_MECHANISM'],
])

/** What a failure of the library means; see `diagnosis` of `@portcullis/tls`. */
export const { diagnose, codedAs } = diagnosis<RabbitmqErrorCode>({
  sentences: rabbitmqErrorCodes,
  families: {
    ERR_RABBITMQ_CREDENTIAL: 'configuration',
    ERR_RABBITMQ_CREDENTIAL_REFUSED: 'authentication',
    ERR_RABBITMQ_MECHANISM: 'configuration',
    ERR_RABBITMQ_VIRTUAL_HOST: 'authorization',
    ERR_RABBITMQ_FORBIDDEN: 'authorization',
    ERR_RABBITMQ_NOT_FOUND: 'configuration',
    ERR_RABBITMQ_PRECONDITION: 'configuration',
    ERR_RABBITMQ_UNROUTABLE: 'configuration',
    ERR_RABBITMQ_MESSAGE: 'configuration',
    ERR_RABBITMQ_BROKER_UNTRUSTED: 'authentication',
    ERR_RABBITMQ_HOST_NAME: 'authentication',
    ERR_RABBITMQ_CERTIFICATE_REFUSED: 'authentication',
    // A broker that stops in the middle of a handshake looks the same, so it is worth another attempt.
    ERR_RABBITMQ_TLS_MISMATCH: 'unavailable',
    ERR_RABBITMQ_UNAVAILABLE: 'unavailable',
    ERR_RABBITMQ_RENEWAL: 'unavailable',
    ERR_RABBITMQ_HANDLER: 'unavailable',
    ERR_RABBITMQ_AUTHORITY_CALL: 'configuration',
    ERR_RABBITMQ_AUTHORITY_NAME: 'authentication',
    ERR_RABBITMQ_AUTHORITY_UNKNOWN: 'authentication',
    ERR_RABBITMQ_AUTHORITY_FAULT: 'unavailable',
    ERR_RABBITMQ_CLOSED: 'unavailable',
  },
  tls: {
    hostName: 'ERR_RABBITMQ_HOST_NAME',
    serverUntrusted: 'ERR_RABBITMQ_BROKER_UNTRUSTED',
    certificateRefused: 'ERR_RABBITMQ_CERTIFICATE_REFUSED',
    mismatch: 'ERR_RABBITMQ_TLS_MISMATCH',
  },
  meaningOf,
  otherwise: 'ERR_RABBITMQ_UNAVAILABLE',
})
