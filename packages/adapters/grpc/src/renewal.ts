/**
 * How a stream's credential is renewed in band. gRPC has no place for a credential once a call has begun (gRPC over
 * HTTP/2: request headers come first, and once), so this is a method of ours. The client names the stream when it opens
 * it, by metadata; it renews it by a call of `portcullis.v1.Session/Renew` over the same connection that names it again
 * and brings the new credential in the usual place. A stream without a name, or with another server, simply ends.
 */
import type { Metadata } from '@grpc/grpc-js'

/** The method of the renewal. */
export const renewalPath = '/portcullis.v1.Session/Renew'
/** The metadata that names a stream. */
export const renewalKey = 'portcullis-stream'

export function isRenewal(path: string): boolean {
  return path === renewalPath
}

// As many characters as 128 random bits have at least, so that a proxy which puts several clients on one connection
// lends nobody another's stream; and no more than an identifier needs.
const pattern = /^[\w-]{22,64}$/

/** What the metadata of a call names a stream, if it does. */
export function streamNameIn(metadata: Metadata): string | undefined {
  const [name] = metadata.get(renewalKey)
  return name === undefined ? undefined : String(name)
}

export function isStreamName(name: string): boolean {
  return pattern.test(name)
}

/** Both messages are `google.protobuf.Empty`, which is no bytes. */
export const empty = {
  serialize: (): Buffer => Buffer.alloc(0),
  deserialize: (): object => ({}),
}
