/**
 * `@portcullis/kafka/kafkajs`: Kafka by kafkajs, for services that have it already; its last release is of 2023, so prefer
 * `@portcullis/kafka/platformatic` for new ones. `client` is for `producer` and `consumer` of `@portcullis/kafka`; `sasl`, `ssl`
 * and `sessionOptions` are for who has a `Kafka` of the library already.
 */
export { client } from './client.ts'
export { sasl, sessionOptions } from './sasl.ts'
export type { SessionOptions } from './sasl.ts'
export { ssl } from './ssl.ts'
export type { Secured, SslOptions } from './ssl.ts'
export type { ClientOptions } from '../client-options.ts'
export type { SaslMechanism, SaslOptions } from '../present.ts'
