/** The codes of the errors of this package, each with its meaning. */
export const kafkaErrorCodes = {
  ERR_KAFKA_CREDENTIAL: 'The source yields a kind of credential that this SASL mechanism has no form for; nothing was sent.',
  ERR_KAFKA_CREDENTIAL_REFUSED: 'The broker refused the credential, and the source has no other. It is not sent again for a while.',
  ERR_KAFKA_MECHANISM: 'The broker does not offer this SASL mechanism on this listener.',
  ERR_KAFKA_BROKER_UNPROVEN:
    'The broker did not prove that it knows the password (SCRAM), or its answer cannot be read; the connection was given up.',
  ERR_KAFKA_BROKER_UNTRUSTED: "The broker's certificate does not end in a trust anchor, or is out of date.",
  ERR_KAFKA_HOST_NAME: "The broker's certificate does not hold the name that was connected to.",
  ERR_KAFKA_CERTIFICATE_REFUSED: 'The broker refused the client certificate, or demands one and got none.',
  ERR_KAFKA_TLS_MISMATCH: 'One end speaks TLS and the other does not, or the handshake was cut short.',
  ERR_KAFKA_INSECURE: 'A credential was about to be sent over a connection without TLS; it was not.',
  ERR_KAFKA_FORBIDDEN: 'The broker knows who this is, and does not permit it: topic, group, cluster or transaction.',
  ERR_KAFKA_TOPIC: 'The topic does not exist.',
  ERR_KAFKA_MESSAGE: 'The message cannot be sent: too large, or a header of it is reserved.',
  ERR_KAFKA_UNAVAILABLE: 'No broker answers, or not in time; what was sent last may or may not have been stored.',
  ERR_KAFKA_WAITING: 'Messages cannot be judged at the moment; the consumer waits, reads no further and acknowledges nothing meanwhile.',
  ERR_KAFKA_HANDLER: 'The handler of a message threw; the message is not acknowledged, and is handed over again after a while.',
  ERR_KAFKA_CLOSED: 'The producer was closed before the message was sent.',
} as const satisfies Record<`ERR_KAFKA_${string}`, string>

/** A code of an error of this package. */
export type KafkaErrorCode = keyof typeof kafkaErrorCodes
