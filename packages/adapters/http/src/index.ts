/**
 * `@portcullis/http`: an HTTPS listener and client whose every request goes through one guard.
 *
 * `serve` opens a listener for HTTP/1.1 and HTTP/2; `client` makes a `fetch` that presents credentials. For an existing
 * Express, Fastify or Hono application take `protect` of the sub-path of that name instead of `serve`. It serves no
 * files, renders nothing and keeps no sessions: a web framework does that, behind the guard.
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
export type { Anonymous, AuditEvent, Authorizer, CredentialSource, DelegatedSource, Guard, Policy, Principal } from '@portcullis/core'
export { defaultHeaders, serve } from './listener.ts'
export type { Listener, ListenerOptions } from './listener.ts'
export type { FetchHandler, Handler, HandlerContext, NodeHandler } from './handler.ts'
export { json } from './reply.ts'
export type { Answer, Reply } from './reply.ts'
export { resource, service } from './routes.ts'
export type { GuardedResource, InheritingResource, Resource, Service } from './routes.ts'
export type { Cors } from './cors.ts'
export type { Carriers } from './describe.ts'
export type { AfterHook, BeforeHook, Hooks } from './hooks.ts'
export { defaultLimits, defaultTimeouts } from './limits.ts'
export type { HttpLimits, HttpTimeouts } from './limits.ts'
export { client } from './client.ts'
export type { Client, ClientOptions, DelegatedInit } from './client.ts'
export { forwarding } from './forwarding.ts'
export type { Forwarding, ForwardingOptions } from './forwarding.ts'
export { tlsTerminatedBy } from './proxy.ts'
export type { TlsTerminatedByOptions, TlsTermination } from './proxy.ts'
export { refusalAnswer } from './refuse.ts'
export type { WireAnswer } from './refuse.ts'
export type { UpgradeRegistration, UpgradeRequest } from './upgrade.ts'
export { httpErrorCodes } from './errors.ts'
export type { HttpErrorCode } from './errors.ts'
