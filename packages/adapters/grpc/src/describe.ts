import type { Metadata } from '@grpc/grpc-js'
import { parseAuthorization, secret, type AccessRequest, type Credential, type PeerChannel, type RequestBinding } from '@portcullis/core'
import { peerCertificateOf, type ServerTlsBundle } from '@portcullis/tls'
import type { TLSSocket } from 'node:tls'

/** Metadata keys that carry a credential beside `authorization`, and what they carry. */
export type Carriers = Readonly<Record<string, 'bearer' | 'apiKey'>>

/** What a method is in the guard's words: `Get` of `orders.v1.Orders`, and what a proof of possession must cover. */
export interface MethodFacts {
  readonly action: string
  readonly resource: string
  readonly binding: RequestBinding
}

/** The facts of a method, of the path under which it is registered: `/orders.v1.Orders/Get`. Every call is a POST (gRPC over HTTP/2, "Requests"). */
export function factsOf(path: string, origin: string): MethodFacts {
  const slash = path.lastIndexOf('/')
  return { action: path.slice(slash + 1), resource: path.slice(1, slash), binding: { method: 'POST', uri: origin + path } }
}

/** What is known of a connection, of its socket and never of what the peer writes. Throws what `peerCertificateOf` throws. */
export function channelOf(socket: TLSSocket, tls: ServerTlsBundle): PeerChannel {
  const certificate = peerCertificateOf(socket, tls)
  const { remoteAddress, servername } = socket as TLSSocket & { readonly servername?: unknown } // The type lacks it; false if the client sent none.
  return {
    from: 'peer',
    protocol: 'grpc',
    secure: true,
    ...(remoteAddress !== undefined && { remoteAddress }),
    ...(typeof servername === 'string' && { serverName: servername }),
    ...(certificate && { certificate }),
  }
}

// A client has a token or two at a time, of one or two thousand characters: sixteen kilobytes for a connection at most.
const maxRemembered = 4
const maxRememberedLength = 4_096

/**
 * What was read of the authorization metadata of one connection, so that a client's next call costs no second reading
 * and mechanisms meet the same text again. The table of HTTP/2's own header compression keeps it as long (RFC 7541).
 */
export class ReadCredentials {
  readonly #known = new Map<string, Credential>()

  read(value: string): Credential {
    const known = this.#known.get(value)
    if (known !== undefined) return known
    const credential = parseAuthorization(value)
    if (value.length > maxRememberedLength) return credential
    if (this.#known.size >= maxRemembered) this.#known.clear()
    this.#known.set(value, credential)
    return credential
  }
}

/** Everything that was presented, one credential for each value, unjudged. */
export function credentialsOf(metadata: Metadata, carriers: Carriers, before: ReadCredentials): readonly Credential[] {
  const credentials: Credential[] = []
  for (const value of metadata.get('authorization')) {
    const [proof, ...more] = metadata.get('dpop')
    credentials.push(proof === undefined || more.length > 0 ? before.read(String(value)) : parseAuthorization(String(value), String(proof)))
  }
  for (const name in carriers) {
    for (const value of metadata.get(name)) credentials.push(inCarrier(name, carriers[name], String(value)))
  }
  return credentials
}

function inCarrier(name: string, kind: Carriers[string] | undefined, value: string): Credential {
  const carrier = `metadata:${name}`
  // HTTP/2 libraries join the values of a repeated field with a comma (RFC 9110 section 5.3): two are not one.
  if (value === '' || value.includes(',')) return { kind: 'malformed', carrier, why: `the metadata "${name}" does not hold one value` }
  if (kind === 'apiKey') return { kind, carrier, name, key: secret(value) }
  return { ...parseAuthorization(`Bearer ${value}`), carrier }
}

/** Takes the credentials out of what a handler gets, so that metadata that it passes on or prints holds none. */
export function withoutCredentials(metadata: Metadata, carriers: Carriers): Metadata {
  metadata.remove('authorization')
  metadata.remove('dpop')
  for (const name in carriers) metadata.remove(name)
  return metadata
}

/** A call, in no protocol's words. */
export function describe(facts: MethodFacts, channel: PeerChannel, credentials: readonly Credential[]): AccessRequest {
  return { credentials, action: facts.action, resource: facts.resource, attributes: {}, channel, binding: facts.binding }
}
