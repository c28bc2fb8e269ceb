/**
 * `@portcullis/kafka/platformatic`: Kafka by `@platformatic/kafka`, the library to prefer. `client` is for `producer` and
 * `consumer` of `@portcullis/kafka`; `sasl` and `ssl` are for who has a `Producer` or `Consumer` of the library already.
 */
export { client } from './client.ts'
export { renewalWindow, sasl } from './sasl.ts'
export { cutUntrusted, ssl } from './ssl.ts'
export type { SslOptions } from './ssl.ts'
export type { ClientOptions } from '../client-options.ts'
export type { SaslMechanism, SaslOptions } from '../present.ts'
