/** The codes of the errors of this package, each with its meaning. */
export const rabbitmqErrorCodes = {
  ERR_RABBITMQ_CREDENTIAL: 'The source yields a kind of credential that AMQP has no form for; nothing was sent.',
  ERR_RABBITMQ_CREDENTIAL_REFUSED: 'The broker refused the credential, and the source has no other.',
  ERR_RABBITMQ_MECHANISM: 'The broker does not offer this mechanism.',
  ERR_RABBITMQ_VIRTUAL_HOST: 'The virtual host does not exist, or this user may not enter it.',
  ERR_RABBITMQ_FORBIDDEN: 'The broker knows who this is, and does not permit it: queue, exchange or routing key.',
  ERR_RABBITMQ_NOT_FOUND: 'The queue or exchange does not exist.',
  ERR_RABBITMQ_PRECONDITION: 'The queue or exchange exists with other properties than asked for.',
  ERR_RABBITMQ_UNROUTABLE: 'No queue takes a message with this exchange and routing key; it was not stored.',
  ERR_RABBITMQ_MESSAGE: 'The message cannot be sent: a header of it is reserved, or it is too large.',
  ERR_RABBITMQ_BROKER_UNTRUSTED: "The broker's certificate does not end in a trust anchor, or is out of date.",
  ERR_RABBITMQ_HOST_NAME: "The broker's certificate does not hold the name that was connected to.",
  ERR_RABBITMQ_CERTIFICATE_REFUSED: 'The broker refused the client certificate, or demands one and got none.',
  ERR_RABBITMQ_TLS_MISMATCH: 'One end speaks TLS and the other does not, or the handshake was cut short.',
  ERR_RABBITMQ_UNAVAILABLE: 'The broker does not answer, or not in time; what was sent last may or may not have been stored.',
  ERR_RABBITMQ_RENEWAL: 'A credential could not be renewed on a live connection yet; it is tried again until the old one expires.',
  ERR_RABBITMQ_HANDLER: 'The handler of a message threw; the message goes back to its queue and is handed over again after a while.',
  ERR_RABBITMQ_AUTHORITY_CALL:
    'A call to the authority was not judged: not from the broker, not in its form, or on one connection too many.',
  ERR_RABBITMQ_AUTHORITY_NAME: 'Somebody logged in under a name that is not theirs, or that a principal of another issuer holds; denied.',
  ERR_RABBITMQ_AUTHORITY_UNKNOWN: 'Nobody is known, or no longer, under a name and virtual host that the broker asked about; denied.',
  ERR_RABBITMQ_AUTHORITY_FAULT:
    'A function of the application threw while the authority answered; the broker hears an error, which refuses.',
  ERR_RABBITMQ_CLOSED: 'The client, producer or consumer was closed.',
} as const satisfies Record<`ERR_RABBITMQ_${string}`, string>

/** A code of an error of this package. */
export type RabbitmqErrorCode = keyof typeof rabbitmqErrorCodes
