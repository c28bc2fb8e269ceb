import { createServer, type Server, type ServerOptions } from 'node:http'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import type { Duplex } from 'node:stream'
import type { TLSSocket } from 'node:tls'
import type { Anonymous, Guard, PeerChannel, Principal } from '@portcullis/core'
import { attach, isTlsBundle, peerCertificateOf, secureServerOptions, tlsBundle, type ServerTlsBundle } from '@portcullis/tls'
import { plaintextChannel } from './danger.ts'
import type { ResolvedLimits, ResolvedTimeouts } from './limits.ts'
import type { ListenerOptions } from './listener.ts'
import { OpenConnections } from './open-connections.ts'
import { TlsTermination } from './proxy.ts'

type Party = Principal | Anonymous

/** The server below, and what belongs to it. */
export interface Front {
  readonly server: Http2SecureServer | Server
  readonly scheme: 'https' | 'http'
  readonly channelOf: (socket: Duplex) => PeerChannel
  readonly connections: OpenConnections
  release(): void
}

/** Makes the server that `tls` asks for; it does not listen yet. */
export async function openFront<P extends Party>(
  { tls, versions = ['h2', 'http/1.1'] }: ListenerOptions<P>,
  guard: Guard,
  limits: ResolvedLimits,
  timeouts: ResolvedTimeouts,
): Promise<Front> {
  const http1: ServerOptions = {
    // The target counts towards Node's limit of the whole head; ours for the target is looked at first.
    maxHeaderSize: limits.maxFieldsBytes + limits.maxTargetLength,
    headersTimeout: Math.min(timeouts.fieldsMs, timeouts.requestMs),
    requestTimeout: timeouts.requestMs,
    keepAliveTimeout: timeouts.idleMs,
    connectionsCheckingInterval: Math.max(10, Math.min(5_000, timeouts.fieldsMs / 2)),
    insecureHTTPParser: false,
  }
  if (tls instanceof TlsTermination || tls === plaintextChannel) {
    const server = createServer(http1)
    server.maxConnections = limits.maxConnections
    const channelOf = (socket: Duplex): PeerChannel => ({ from: 'peer', protocol: 'http', secure: false, ...addressOf(socket) })
    return {
      server,
      scheme: tls === plaintextChannel ? 'http' : 'https',
      channelOf,
      connections: new OpenConnections(server, false),
      release: () => undefined,
    }
  }
  const bundle = await tlsBundle(tls)
  const server = createSecureServer({
    ...http1,
    ...secureServerOptions(bundle, { alpn: versions }),
    allowHTTP1: (versions as readonly string[]).includes('http/1.1'),
    settings: {
      maxConcurrentStreams: limits.maxStreams,
      maxHeaderListSize: limits.maxFieldsBytes + limits.maxTargetLength,
      enablePush: false,
    },
    // RFC 9113 section 10.5: what one connection may hold; the bound of what its streams may buffer, in megabytes.
    maxSessionMemory: 10,
    unknownProtocolTimeout: timeouts.fieldsMs,
  })
  server.maxConnections = limits.maxConnections
  // Node 22 takes these for HTTP/1.1 beside HTTP/2 from the server's fields alone, and would go without our bounds.
  Object.assign(server, http1, { requireHostHeader: true })
  const detach = attach(server, bundle)
  const unsubscribe = bundle.subscribe((event) => {
    if (event.type === 'reloaded') guard.report({ type: 'tlsReloaded', protocol: 'https' })
    else if (event.type === 'reloadFailed')
      guard.report({ type: 'tlsReloadFailed', protocol: 'https', code: event.error.code, cause: event.error })
    else if (event.server === server)
      guard.report({
        type: 'handshakeRefused',
        protocol: 'https',
        code: event.code,
        cause: event.error,
        ...(event.remoteAddress !== undefined && { remoteAddress: event.remoteAddress }),
      })
  })
  return {
    server,
    scheme: 'https',
    channelOf: (socket) => secureChannel(socket as TLSSocket, bundle),
    connections: new OpenConnections(server, true),
    release: () => {
      detach()
      unsubscribe()
      if (!isTlsBundle(tls)) bundle.close()
    },
  }
}

function secureChannel(socket: TLSSocket, bundle: ServerTlsBundle): PeerChannel {
  const certificate = peerCertificateOf(socket, bundle)
  const { servername } = socket as TLSSocket & { readonly servername?: unknown } // The type lacks it; false without SNI.
  return Object.freeze({
    from: 'peer',
    protocol: 'https',
    secure: true,
    ...addressOf(socket),
    ...(typeof servername === 'string' && { serverName: servername }),
    ...(certificate && { certificate }),
  })
}

/** The far end's address, if it is known still. */
export function addressOf(socket: Duplex): { readonly remoteAddress?: string } {
  const { remoteAddress } = socket as Duplex & { readonly remoteAddress?: string }
  return remoteAddress === undefined ? {} : { remoteAddress }
}
