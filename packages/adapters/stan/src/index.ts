/**
 * `@portcullis/stan`, legacy: NATS Streaming with credentials from any source, verified TLS, and messages that prove who
 * produced them. `producer` signs what it sends, in a frame within the payload since the protocol has no headers;
 * `consumer` hands on what its guard allows and stores the rest as dead letters; `client` alone opens connections of
 * `node-nats-streaming`.
 *
 * Not for anything new: the server ended in 2023, and its client with it. It is for services that still have channels
 * there, until they are moved to JetStream and `@portcullis/nats`, with the same guard and the same signers. Not for
 * confidentiality towards the server: payloads stay as they are.
 */
export { allOf, anyOf, deadLetterReasons, everyone, guard, scope, withScopes } from '@portcullis/core'
export { client } from './client.ts'
export type { ClientOptions, StanClient } from './client.ts'
export type { StanConnection } from './connection.ts'
export { producer } from './producer.ts'
export type { MessageToSend, ProducerOptions, StanProducer } from './producer.ts'
export { consumer } from './listener.ts'
export type { ConsumerOptions, MessageHandler, StanConsumer } from './listener.ts'
export type { StanMessage } from './message.ts'
export { frame, unframe } from './frame.ts'
export type { Unframed } from './frame.ts'
export { present } from './present.ts'
export type { StanAuth } from './present.ts'
export { diagnose } from './diagnose.ts'
export { stanErrorCodes } from './errors.ts'
export type { StanErrorCode } from './errors.ts'
