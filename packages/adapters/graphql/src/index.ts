/**
 * `@portcullis/graphql`: GraphQL whose every operation, field and subscription goes through one guard.
 *
 * `serve` opens a listener, `graphql` adds GraphQL to a listener of `@portcullis/http`, both on graphql-yoga; for another
 * Envelop server take `guardPlugin` of `./plugin`, and for the calling side `./client`. For a service with a handful of
 * fixed questions and answers take `@portcullis/http` alone: it has nothing to bound and to hide.
 */
export {
  absent,
  allOf,
  anyOf,
  authenticator,
  everyone,
  forbid,
  granted,
  guard,
  notMine,
  principalOf,
  refused,
  scope,
  secret,
  stepUp,
  vouchForPrincipal,
  withScopes,
} from '@portcullis/core'
export type { Anonymous, AuditEvent, Authorizer, CredentialSource, Guard, Policy, Principal } from '@portcullis/core'
export { serve } from './listener.ts'
export type { GraphqlListener, ServeOptions } from './listener.ts'
export { graphql } from './endpoint.ts'
export type { GraphqlEndpoint, GraphqlOptions, YogaOptions } from './endpoint.ts'
export type { SocketLimits, SocketOptions } from './socket-transport.ts'
export { access } from './field-access.ts'
export type { AccessExtension, Alternatives, FieldAccess } from './field-access.ts'
export { accessDirectives } from './rules.ts'
export { callerOf } from './execution.ts'
export type { RulesOptions } from './plugin.ts'
export { defaultGraphqlLimits } from './limits.ts'
export type { GraphqlLimits } from './limits.ts'
export { graphqlErrorCodes } from './errors.ts'
export type { GraphqlErrorCode } from './errors.ts'
export type { RefusalCode } from './refuse.ts'
