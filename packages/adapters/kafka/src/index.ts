/**
 * `@portcullis/kafka`: Kafka with credentials that renew on live connections, certificates that rotate, and messages that prove
 * who produced them. `producer` signs what it sends; `consumer` hands on what its guard allows and stores the rest as
 * dead letters. The library is chosen by where `client` comes from: `@portcullis/kafka/platformatic` or `/kafkajs`.
 *
 * Not for exactly-once processing (transactions), share groups or streams: for those take the library itself, with `sasl`
 * and `ssl` of the sub-paths. Not for confidentiality towards the broker: payloads stay as they are.
 */
export { allOf, anyOf, deadLetterReasons, everyone, guard, maxRetryDelayMs, scope, withScopes } from '@portcullis/core'
export { consumer } from './listener.ts'
export type { ConsumerOptions, KafkaConsumer, MessageHandler } from './listener.ts'
export { producer } from './client.ts'
export type { KafkaClient, KafkaProducer, MessageToSend, ProducerOptions } from './client.ts'
export type { KafkaMessage } from './record.ts'
export { diagnose } from './diagnose.ts'
export { refusedForMs } from './present.ts'
export type { SaslMechanism, SaslOptions } from './present.ts'
export { kafkaErrorCodes } from './errors.ts'
export type { KafkaErrorCode } from './errors.ts'
