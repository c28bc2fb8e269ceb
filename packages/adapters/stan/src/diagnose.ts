import { diagnosis, type Evidence } from '@portcullis/tls'
import { stanErrorCodes, type StanErrorCode } from './errors.ts'

function meaningOf({ code, message }: Evidence): StanErrorCode | undefined {
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

/** What a failure of the library means; see `diagnosis` of `@portcullis/tls`. */
export const { diagnose, codedAs } = diagnosis<StanErrorCode>({
  sentences: stanErrorCodes,
  families: {
    ERR_STAN_CREDENTIAL: 'configuration',
    ERR_STAN_CREDENTIAL_REFUSED: 'authentication',
    ERR_STAN_FORBIDDEN: 'authorization',
    ERR_STAN_CLIENT_ID: 'configuration',
    ERR_STAN_SUBSCRIPTION: 'configuration',
    ERR_STAN_MESSAGE: 'configuration',
    ERR_STAN_SERVER_UNTRUSTED: 'authentication',
    ERR_STAN_HOST_NAME: 'authentication',
    ERR_STAN_CERTIFICATE_REFUSED: 'authentication',
    ERR_STAN_TLS_REQUIRED: 'configuration',
    // A server that stops in the middle of a handshake looks the same, so it is worth another attempt.
    ERR_STAN_TLS_MISMATCH: 'unavailable',
    ERR_STAN_UNAVAILABLE: 'unavailable',
    ERR_STAN_RENEWAL: 'unavailable',
    ERR_STAN_HANDLER: 'unavailable',
    ERR_STAN_CLOSED: 'unavailable',
  },
  tls: {
    hostName: 'ERR_STAN_HOST_NAME',
    serverUntrusted: 'ERR_STAN_SERVER_UNTRUSTED',
    certificateRefused: 'ERR_STAN_CERTIFICATE_REFUSED',
    mismatch: 'ERR_STAN_TLS_MISMATCH',
  },
  meaningOf,
  otherwise: 'ERR_STAN_UNAVAILABLE',
})
