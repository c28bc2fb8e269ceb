import type { RequestBinding } from './access-request.ts'
import type { Credential } from './credential.ts'
import type { Principal } from './principal.ts'

/** Whom a credential is for. One source may feed all clients, one token may not (RFC 9700 section 2.3, RFC 8707). */
export interface Target {
  /** Scheme, host and port, such as `https://orders.example` or `kafka://broker:9094`. */
  readonly origin: string
  /** Whether the channel is encrypted and its server proven. A source yields nothing for an insecure one. */
  readonly secure: boolean
  /** Whether one connection carries the calls of several callers (brokers, pooled sockets); no caller's credential goes there. */
  readonly shared?: boolean
}

/** What a client tells a source. */
export interface SourceRequest {
  readonly target: Target
  readonly signal?: AbortSignal
  /** The very credential that the peer refused, so that a burst of refusals costs one fetch. */
  readonly refused?: Credential
  /** The last nonce that the target gave for proofs, on success or refusal (RFC 9449 section 8). Clients keep it by origin. */
  readonly nonce?: string
}

/** A credential worth sending now, to the target asked for. */
export interface Supplied {
  readonly credential: Credential
  /** When it stops being worth sending; absent if unknown. */
  readonly expiresAt?: Date
}

/** Yields a credential that may be cached. Safe for concurrent callers. */
export type CredentialSource = (request: SourceRequest) => Supplied | Promise<Supplied>
/** Yields a credential made for one request: a DPoP proof, a signed message. Caching it does not compile. */
export type BoundSource = (request: SourceRequest & { readonly binding: RequestBinding }) => Supplied | Promise<Supplied>
/** Yields a credential for a caller on whose behalf a call is made. Caching it does not compile, and neither does calling it without the caller. */
export type DelegatedSource = (request: SourceRequest & { readonly onBehalfOf: Principal }) => Supplied | Promise<Supplied>
/** What a client takes: it always gives the binding, and the caller where its own caller named one. */
export type AnySource = (
  request: SourceRequest & { readonly binding: RequestBinding; readonly onBehalfOf: Principal },
) => Supplied | Promise<Supplied>
