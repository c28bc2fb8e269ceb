import type { PeerChannel } from '@portcullis/core'
import type { CredentialMemo } from './describe.ts'

/** What is known of a connection, for all its requests. */
export interface Connection extends CredentialMemo {
  readonly channel: PeerChannel
}

const key: unique symbol = Symbol('portcullis.http.connection')

/** The connection behind a socket or HTTP/2 session; `channel` is called for its first request only. */
export function connectionOf<S extends object>(socket: S, channel: (socket: S) => PeerChannel): Connection {
  const holder = socket as { [key]?: Connection }
  return (holder[key] ??= { channel: channel(socket), text: undefined, credentials: undefined })
}
