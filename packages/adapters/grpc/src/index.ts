/**
 * `@portcullis/grpc`: gRPC services whose every call passes a guard, streams that end when their principal does, and
 * clients that present a credential.
 *
 * For services on `@grpc/grpc-js`. Not for gRPC-Web or Connect, which are HTTP: put `@portcullis/http` in front of them.
 */
export { serve } from './listener.ts'
export type { GrpcListener, ServeOptions } from './listener.ts'
export { principalOf } from './principal.ts'
export { service, StatusError } from './service.ts'
export type { Handler, Service, ServiceOptions } from './service.ts'
export { client, onBehalfOf } from './client.ts'
export type { ClientConstructor, ClientOptions } from './client.ts'
export type { Carriers } from './describe.ts'
export { renewalKey, renewalPath } from './renewal.ts'
export { grpcErrorCodes } from './errors.ts'
export type { GrpcErrorCode } from './errors.ts'
export { absent, allOf, anyOf, everyone, guard, scope, withScopes } from '@portcullis/core'
export type { Anonymous, Guard, Principal } from '@portcullis/core'
