import type { Credential } from './credential.ts'

/**
 * A certificate that the far end presented and that was verified: its chain ends in a trust anchor of ours, its dates
 * hold, and it is meant for client authentication. Made by `@portcullis/tls` only.
 */
export interface PeerCertificate {
  /** The certificate itself, DER. */
  readonly der: Uint8Array
  /** SHA-256 of {@link der}, base64url: the `x5t#S256` of RFC 8705 section 3.1. */
  readonly thumbprint: string
  /** SHA-256 of the trust anchor in which the chain ended, base64url. Two authorities may issue one name: a name counts only together with this. */
  readonly anchor: string
  readonly notAfter: Date
}

/** The far end itself presents the credential. */
export interface PeerChannel {
  readonly from: 'peer'
  /** `https`, `wss`, `grpc`, `tcp`, … */
  readonly protocol: string
  /** Whether the channel is encrypted and its server proven: a fact of the listener, never of a header. */
  readonly secure: boolean
  readonly remoteAddress?: string
  /** The server name that the client asked for (SNI). */
  readonly serverName?: string
  /** Absent if the peer presented none; one that was presented and failed never gets this far. */
  readonly certificate?: PeerCertificate
}

/**
 * A broker stands between. It has no certificate, by type, so that the broker never passes for the producer.
 */
export interface RelayChannel {
  readonly from: 'relay'
  /** `kafka`, `amqp`, `nats`, … */
  readonly protocol: string
  readonly secure: boolean
  readonly certificate?: never
}

/** How a request came. Built by an adapter's `describe.ts` from facts, never from headers that a peer can forge. */
export type Channel = PeerChannel | RelayChannel

/**
 * The request as the listener saw it, against which a proof of possession is matched (RFC 9449 section 4.3).
 */
export interface RequestBinding {
  readonly method: string
  /** Absolute, without query and fragment, made from the listener's configured origin and the path received. */
  readonly uri: string
  /** Digest of the content, base64url SHA-256, where a proof covers the content. */
  readonly contentDigest?: string
  /** Present where the request is a message that a broker hands on. */
  readonly message?: MessageFacts
}

/** A message as the client is about to send it, or as the consumer got it: what its signature covers, and how it came. */
export interface MessageFacts {
  /** The message's own identifier, where the protocol has a field for one. */
  readonly id?: string
  /** The message key's bytes, base64url, where the protocol has one. */
  readonly key?: string
  /** The token of the user on whose behalf the producer acts, as it stands in the message: signed along, so that nobody moves it to another message. */
  readonly caller?: string
  /** All headers that are text, but those that carry identity and caller. Names as sent. */
  readonly headers: ReadonlyMap<string, string>
  /** Where it stands in a log (`orders/0/42`); the same position twice is a redelivery, another position of the same message a replay. */
  readonly position?: string
  /** When the broker took it, by the broker's clock, in milliseconds. Absent where only the producer says a time. */
  readonly appendedAtMs?: number
  /** The broker says that it hands this message out again. Counts only where it has no position. */
  readonly redelivered?: boolean
}

/**
 * One thing asked of one resource over one channel, in no protocol's words.
 *
 * An adapter may use a class with getters: fields are read when first needed, and each at most a few times.
 */
export interface AccessRequest {
  /** At most one per carrier. Empty if the peer presented nothing. */
  readonly credentials: readonly Credential[]
  /** `GET`, `subscribe`, `publish`, a gRPC method's name. */
  readonly action: string
  /** The matched route, field, method or topic: what the handler that will run is registered for, never a second parse of the peer's text. */
  readonly resource: string
  /** Route, field or topic parameters. */
  readonly attributes: Readonly<Record<string, unknown>>
  readonly channel: Channel
  readonly binding?: RequestBinding
}
