/** The codes of the errors of this package, each with its meaning. */
export const stanErrorCodes = {
  ERR_STAN_CREDENTIAL: 'The source yields a kind of credential that this client of NATS Streaming has no form for; nothing was sent.',
  ERR_STAN_CREDENTIAL_REFUSED: 'The server refused the credential, and the source has no other.',
  ERR_STAN_FORBIDDEN: 'The server knows who this is, and does not permit it to connect to the cluster, publish or subscribe there.',
  ERR_STAN_CLIENT_ID: 'Another connection has this client identifier, or the server takes none like it.',
  ERR_STAN_SUBSCRIPTION: 'The server does not take the subscription: the durable name is in use, or its settings do not fit.',
  ERR_STAN_MESSAGE:
    'The message cannot be sent: a header of it is reserved or no line of text, its channel holds a wildcard, or it is too large.',
  ERR_STAN_SERVER_UNTRUSTED: "The server's certificate does not end in a trust anchor, or is out of date.",
  ERR_STAN_HOST_NAME: "The server's certificate does not hold the name that was connected to.",
  ERR_STAN_CERTIFICATE_REFUSED: 'The server refused the client certificate, or demands one and got none.',
  ERR_STAN_TLS_REQUIRED: 'The server speaks no TLS; nothing was sent.',
  ERR_STAN_TLS_MISMATCH: 'One end begins with TLS and the other does not, or the handshake was cut short.',
  ERR_STAN_UNAVAILABLE: 'The server or its streaming cluster does not answer, or not in time; what was sent last may or may not be stored.',
  ERR_STAN_RENEWAL: 'A credential could not be renewed for a live connection yet; it is tried again.',
  ERR_STAN_HANDLER: 'The handler of a message threw; the server hands the message out again after `ackWaitSeconds`.',
  ERR_STAN_CLOSED: 'The connection, producer or consumer was closed.',
} as const satisfies Record<`ERR_STAN_${string}`, string>

/** A code of an error of this package. */
export type StanErrorCode = keyof typeof stanErrorCodes
