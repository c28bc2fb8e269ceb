/**
 * `@portcullis/tcp`: streams of bytes between proven ends: TLS, a client certificate or one first line with a
 * credential, and a connection that ends when its principal does.
 *
 * For protocols of your own. Not where HTTP, gRPC or a broker would do: a raw stream has no words for a challenge, so a
 * refused client learns nothing but that it was closed, and it cannot renew its credential in place.
 */
export { absent, allOf, anyOf, everyone, guard, scope, withScopes } from '@portcullis/core'
export { serve } from './listener.ts'
export type { ServeOptions, TcpConnection, TcpListener } from './listener.ts'
export { connect } from './client.ts'
export type { ConnectOptions } from './client.ts'
export { tcpErrorCodes } from './errors.ts'
export type { TcpErrorCode } from './errors.ts'
