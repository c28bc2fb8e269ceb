/**
 * `@portcullis/rabbitmq`: RabbitMQ with credentials that renew on live connections, certificates that rotate, and
 * messages that prove who produced them. `producer` signs what it sends; `consumer` hands on what its guard allows and
 * stores the rest as dead letters; `client` alone opens connections of `amqplib` for whoever wants the library itself.
 *
 * Not for AMQP 1.0 and not for streams. It declares no queues: topology is its owner's. Not for confidentiality towards
 * the broker: payloads stay as they are.
 */
export { allOf, anyOf, deadLetterReasons, everyone, guard, maxRetryDelayMs, scope, withScopes } from '@portcullis/core'
export { client } from './client.ts'
export type { ClientOptions, RabbitmqClient } from './client.ts'
export { producer } from './producer.ts'
export type { MessageToSend, ProducerOptions, RabbitmqProducer } from './producer.ts'
export { consumer } from './listener.ts'
export type { ConsumerOptions, MessageHandler, RabbitmqConsumer } from './listener.ts'
export type { MessageProperties, RabbitmqMessage } from './message.ts'
export { external, present } from './present.ts'
export type { AmqpCredentials } from './present.ts'
export { diagnose } from './diagnose.ts'
export { rabbitmqErrorCodes } from './errors.ts'
export type { RabbitmqErrorCode } from './errors.ts'
