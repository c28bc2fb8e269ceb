/** The codes of the errors of this package, each with its meaning. */
export const natsErrorCodes = {
  ERR_NATS_CREDENTIAL: 'The source yields a kind of credential that NATS has no form for, or one that cannot be read; nothing was sent.',
  ERR_NATS_CREDENTIAL_REFUSED: 'The server refused the credential, and the source has no other.',
  ERR_NATS_FORBIDDEN:
    'The server does not permit this user to publish or subscribe there, or an answer was to go to a subject that is no inbox.',
  ERR_NATS_NOT_FOUND: 'The stream or consumer does not exist.',
  ERR_NATS_UNROUTABLE: 'No stream takes messages with this subject, or JetStream is off; it was not stored.',
  ERR_NATS_NO_RESPONDER: 'Nobody answers requests on this subject.',
  ERR_NATS_REPLY_REFUSED: 'The guard did not accept who answered; the answer was dropped.',
  ERR_NATS_REQUEST_REFUSED: 'The far end refused the request: it did not accept who asks.',
  ERR_NATS_MESSAGE: 'The message cannot be sent: a header of it is reserved, its subject holds a wildcard, or it is too large.',
  ERR_NATS_STREAM: 'The stream or consumer does not allow this request.',
  ERR_NATS_SERVER_UNTRUSTED: "The server's certificate does not end in a trust anchor, or is out of date.",
  ERR_NATS_HOST_NAME: "The server's certificate does not hold the name that was connected to.",
  ERR_NATS_CERTIFICATE_REFUSED: 'The server refused the client certificate, or demands one and got none.',
  ERR_NATS_TLS_REQUIRED: 'The server speaks no TLS; nothing was sent.',
  ERR_NATS_TLS_MISMATCH: 'One end begins with TLS and the other does not, or the handshake was cut short.',
  ERR_NATS_UNAVAILABLE: 'The server does not answer, or not in time; what was sent last may or may not have been stored.',
  ERR_NATS_RENEWAL: 'A credential could not be renewed for a live connection yet; it is tried again.',
  ERR_NATS_HANDLER: 'The handler of a message threw; a message of a stream is handed over again after a while.',
  ERR_NATS_CALLOUT: 'A server’s request for authorization was not answered; the client that it was about is not let in.',
  ERR_NATS_CLOSED: 'The connection, producer or consumer was closed.',
} as const satisfies Record<`ERR_NATS_${string}`, string>

/** A code of an error of this package. */
export type NatsErrorCode = keyof typeof natsErrorCodes
