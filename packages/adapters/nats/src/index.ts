/**
 * `@portcullis/nats`: NATS with credentials that renew, certificates that rotate, and messages that prove who produced
 * them. `producer` and `consumer` are for JetStream; `publisher` and `subscriber` for core NATS and its requests;
 * `client` alone opens connections of `@nats-io/transport-node`, and `natsOptions` are the pieces for whoever connects
 * by himself.
 *
 * Not for NATS Streaming (`stan`), which ended in 2023. It makes no streams and consumers: topology is its owner's. Not
 * for confidentiality towards the server: payloads stay as they are.
 */
export { allOf, anyOf, deadLetterReasons, everyone, guard, keepWarm, maxRetryDelayMs, scope, withScopes } from '@portcullis/core'
export { client } from './client.ts'
export type { ClientOptions, NatsClient } from './client.ts'
export { producer } from './producer.ts'
export type { NatsProducer, ProducerOptions } from './producer.ts'
export { consumer } from './listener.ts'
export type { ConsumerOptions, MessageHandler } from './listener.ts'
export type { NatsConsumer } from './lifetime.ts'
export { publisher } from './publisher.ts'
export type { NatsPublisher, NatsReply, PublisherOptions } from './publisher.ts'
export { subscriber } from './subscriber.ts'
export type { Answer, SubscriberOptions, SubscriptionHandler } from './subscriber.ts'
export { subjectToken } from './outgoing.ts'
export type { MessageToSend, Signing } from './outgoing.ts'
export type { NatsMessage } from './message.ts'
export { natsOptions } from './options.ts'
export type { NatsOptions, NatsOptionsInit, NatsTls } from './options.ts'
export { present } from './present.ts'
export type { NatsAuth } from './present.ts'
export { nkeyCredentials, userJwtCredentials } from './sources.ts'
export type { NkeyCredentialsOptions, SecretText, UserJwtCredentialsOptions } from './sources.ts'
export { refusalStatus } from './refuse.ts'
export { diagnose } from './diagnose.ts'
export { natsErrorCodes } from './errors.ts'
export type { NatsErrorCode } from './errors.ts'
