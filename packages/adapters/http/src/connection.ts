import type { PeerChannel } from '@portcullis/core'
import type { CredentialMemo } from './describe.ts'

/** What is known of a connection, for all its requests. */
export interface Connection extends CredentialMemo {
  readonly channel: PeerChannel
  /** The last request of an HTTP/1.1 connection. */
  current: { readonly finished: boolean } | undefined
}

const key: unique symbol = Symbol('portcullis.http.connection')

/** The connection behind a socket or HTTP/2 session; `channel` is called for its first request only. */
export function connectionOf<S extends object>(socket: S, channel: (socket: S) => PeerChannel): Connection {
  const holder = socket as { [key]?: Connection }
  return (holder[key] ??= { channel: channel(socket), text: undefined, credentials: undefined, current: undefined })
}

/** The same, if there was a request yet. */
export function knownConnectionOf(socket: object): Connection | undefined {
  return (socket as { [key]?: Connection })[key]
}
