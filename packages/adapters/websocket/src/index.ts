/**
 * `@portcullis/websocket`: WebSockets whose peer is proven for as long as they are open: a guard at the upgrade, a session
 * clock that ends them, renewal in band, and a client that does its part. On the library `ws`.
 *
 * `serve` opens a port, `websocket` a path of a listener of `@portcullis/http`; `connect` is the client. For GraphQL
 * subscriptions take `@portcullis/graphql`. It knows no rooms, topics or acknowledgements: a message is bytes.
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
  refused,
  scope,
  secret,
  stepUp,
  vouchForPrincipal,
  withScopes,
} from '@portcullis/core'
export type { Anonymous, AuditEvent, Authorizer, CredentialSource, Guard, Policy, Principal } from '@portcullis/core'
export { serve, websocket } from './listener.ts'
export type { ServeOptions, WebSocketEndpoint, WebSocketListener, WebSocketOptions } from './listener.ts'
export type { EndpointOptions } from './endpoint.ts'
export { GuardedSocket } from './socket.ts'
export type { MessageLevel, SessionTimes, SocketHandler } from './socket.ts'
export { defaultFirstMessageLimits, defaultLimits } from './limits.ts'
export type { FirstMessageLimits, WebSocketLimits } from './limits.ts'
export { connect } from './client.ts'
export type { ConnectOptions, Reconnect, WebSocketClient } from './client.ts'
export { contentOf, readListenerFrame, sessionField, sessionProtocol, writeFrame } from './session-frame.ts'
export type { ClientFrame, ListenerFrame } from './session-frame.ts'
export { endings, refusals } from './refuse.ts'
export type { Closing } from './refuse.ts'
export { websocketErrorCodes } from './errors.ts'
export type { WebSocketErrorCode } from './errors.ts'
