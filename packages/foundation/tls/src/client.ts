import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { createSecureContext, type ConnectionOptions, type PeerCertificate as NodePeerCertificate, type SecureContext } from 'node:tls'

import { requireText } from '@portcullis/core'

import { stateOf, type ClientTlsBundle, type Generation } from './bundle.ts'
import { TlsPeerError } from './errors.ts'

/** Which server is meant, and what is spoken above TLS. */
export interface ServerAddress {
  /** The host that is connected to, a name or an address. */
  readonly host: string
  /** The name that the server is asked for (SNI) and that its certificate must hold, where it is not `host`. */
  readonly serverName?: string
  /** The application protocols on offer, in order of preference (RFC 7301). */
  readonly alpn?: readonly [string, ...string[]]
}

/** What `tls.connect`, `https.Agent`, `https.request` and `http2.connect` take. */
export type SecureClientOptions = ConnectionOptions & { readonly maxCachedSessions?: number }

/**
 * What `tls.connect`, `https.Agent`, `https.request` and `http2.connect` take to reach one server. Make it anew for
 * each connection, or again after each `reloaded` event: it holds what is in use at this moment.
 *
 * The certificate must hold the name as an alternative name (RFC 9525 section 6.3): the common name is no host name.
 * A session that is taken up again was made with the same name; the runtime does not compare it twice, so a cache of
 * sessions must be kept by name.
 */
export function secureClientOptions(bundle: ClientTlsBundle, address: ServerAddress): SecureClientOptions {
  const state = stateOf('secureClientOptions()', bundle, 'client')
  const { settings, generation } = state
  const host = requireText('secureClientOptions(): host', address.host)
  const name = address.serverName === undefined ? host : requireText('secureClientOptions(): serverName', address.serverName)
  return {
    host,
    // RFC 6066 section 3 allows no address here; the empty text keeps callers above from putting in their own.
    servername: isIP(name) === 0 ? name : '',
    secureContext: contextOf(generation),
    rejectUnauthorized: settings.verifyServer,
    checkServerIdentity: settings.verifyHostName ? (_host, certificate) => nameProblem(name, certificate) : () => undefined,
    ...(address.alpn && { ALPNProtocols: [...address.alpn] }),
    ...(!settings.resumption && { maxCachedSessions: 0 }),
  }
}

// A context is made once for each generation: parsing the trust anchors takes milliseconds.
const contexts = new WeakMap<Generation, SecureContext>()

function contextOf(generation: Generation): SecureContext {
  let context = contexts.get(generation)
  if (context === undefined) contexts.set(generation, (context = createSecureContext(generation.contextOptions)))
  return context
}

function nameProblem(name: string, { raw }: NodePeerCertificate): TlsPeerError | undefined {
  const certificate = new X509Certificate(raw)
  const matches = isIP(name) === 0 ? certificate.checkHost(name, { subject: 'never', partialWildcards: false }) : certificate.checkIP(name)
  return matches === undefined ? new TlsPeerError('ERR_TLS_HOST_NAME') : undefined
}
