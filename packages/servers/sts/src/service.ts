import type { UserStore } from '@portcullis/auth'
import type { PeerChannel } from '@portcullis/core'
import type { Verifier } from '@portcullis/jwt'
import type { IncomingMessage } from 'node:http'
import type { Provider, ResourceServer, TokenEndpointGrantContext } from 'oidc-provider'
import type { Audience } from './audiences.ts'
import type { ClientEntry } from './clients.ts'
import type { StsTokenFacts } from './events.ts'
import type { StsGrant } from './grants/grant.ts'
import type { Assertions } from './grants/jwt-bearer.ts'
import type { ExchangePolicy } from './grants/token-exchange.ts'

/** The context of a token request. */
export type TokenContext = TokenEndpointGrantContext<Readonly<Record<string, string | undefined>>>

/** What goes into a token besides what the grant decides. */
export type StsClaims = (token: StsTokenFacts & { readonly grant: StsGrant }) => Readonly<Record<string, unknown>> | undefined

/** What the grants of one token service share. */
export interface Service {
  readonly issuer: string
  readonly provider: Provider
  readonly audiences: ReadonlyMap<string, Audience>
  readonly users: UserStore | undefined
  readonly assertions: Assertions | undefined
  readonly exchange: ExchangePolicy | undefined
  readonly refreshLifetimeSeconds: number
  /** Verifies the JWTs that this service has issued. */
  own(): Verifier
  client(id: string): Promise<ClientEntry | undefined>
  /** How a service's tokens look, with the scopes that the client may have there. */
  resource(audience: Audience, client: ClientEntry): ResourceServer
  channelOf(request: IncomingMessage): PeerChannel
  /** Says what the token of this request is about, for its claims and the event. */
  note(context: object, issued: { readonly grant: StsGrant; readonly act?: Readonly<Record<string, unknown>> }): void
}
