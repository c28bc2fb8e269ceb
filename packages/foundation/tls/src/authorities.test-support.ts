/** Authorities, servers and clients for the tests of this package: real certificates, real sockets. */
import type { X509Certificate } from 'node:crypto'
import type { AddressInfo, Server } from 'node:net'
import tls, { type ConnectionOptions, type SecureContext, type TLSSocket } from 'node:tls'

import type { PeerCertificate } from '@portcullis/core'
import { loadKeyPair, type KeyPairSource } from '@portcullis/crypto'
import { onTestFinished } from 'vitest'

import type { ClientTlsBundle, ServerTlsBundle, TlsEvent } from './bundle.ts'
import { secureClientOptions } from './client.ts'
import { tlsBundle, type ClientTlsOptions, type ServerTlsOptions } from './index.ts'
import { peerCertificateOf } from './peer.ts'
import { attach, secureServerOptions } from './server.ts'
import { writeCertificate, type CertificateContent, type Issued } from './write-certificate.ts'

const day = 86_400_000

/** Dates around now, by default from yesterday to tomorrow. */
export function dates(fromDays: number = -1, toDays: number = 1) {
  return { notBefore: new Date(Date.now() + fromDays * day), notAfter: new Date(Date.now() + toDays * day) }
}

export class Authority {
  readonly issued: Issued

  constructor(issued: Issued) {
    this.issued = issued
  }

  static async root(commonName: string, content: Partial<CertificateContent> = {}): Promise<Authority> {
    return new Authority(await writeCertificate({ commonName, ...dates(), authority: { pathLength: 2 }, ...content }))
  }

  get trust(): X509Certificate {
    return this.issued.certificate
  }

  async below(commonName: string, content: Partial<CertificateContent> = {}): Promise<Authority> {
    return new Authority(await writeCertificate({ commonName, ...dates(), authority: { pathLength: 1 }, issuer: this.issued, ...content }))
  }

  issue(content: Partial<CertificateContent> = {}): Promise<Issued> {
    return writeCertificate({ commonName: 'end', ...dates(), issuer: this.issued, usages: ['clientAuth'], ...content })
  }

  /** A key pair for a client; `above` are the certificates that it sends along. */
  async client(content: Partial<CertificateContent> = {}, above: readonly Authority[] = []): Promise<KeyPairSource> {
    return pair(await this.issue(content), above)
  }

  /** A key pair for a server called localhost. */
  async server(content: Partial<CertificateContent> = {}, above: readonly Authority[] = []): Promise<KeyPairSource> {
    return pair(await this.issue({ commonName: 'server', usages: ['serverAuth'], names: { dns: ['localhost'] }, ...content }), above)
  }
}

export function pair({ key, certificate }: Issued, above: readonly Authority[] = []): KeyPairSource {
  return { key, certificates: [certificate, ...above.map(({ trust }) => trust)] }
}

export async function serverBundle(options: Omit<ServerTlsOptions, 'side'>): Promise<ServerTlsBundle> {
  const bundle = await tlsBundle({ side: 'server', ...options })
  onTestFinished(() => bundle.close())
  return bundle
}

export async function clientBundle(options: Omit<ClientTlsOptions, 'side'>): Promise<ClientTlsBundle> {
  const bundle = await tlsBundle({ side: 'client', ...options })
  onTestFinished(() => bundle.close())
  return bundle
}

/** A client's context past the checks and the session context of a bundle: what a client of another make would use. */
export async function contextOf(trust: X509Certificate, identity?: KeyPairSource): Promise<SecureContext> {
  const ca = trust.toString()
  if (identity === undefined) return tls.createSecureContext({ ca })
  const { privateKey, certificates } = await loadKeyPair(identity)
  const cert = certificates.map(({ x509 }) => x509.toString()).join('')
  return tls.createSecureContext({ key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), cert, ca })
}

/** What a server saw of the connections that it accepted, and refused. */
export interface Seen {
  readonly port: number
  readonly peers: (PeerCertificate | undefined)[]
  readonly sockets: TLSSocket[]
  readonly events: TlsEvent[]
  /** The codes of refused handshakes. */
  readonly refusals: string[]
}

/** A server that answers each connection with one line and keeps it open. */
export async function serve(bundle: ServerTlsBundle): Promise<Seen> {
  const server = tls.createServer(secureServerOptions(bundle))
  attach(server, bundle)
  const events: TlsEvent[] = []
  const refusals: string[] = []
  bundle.subscribe((event) => {
    events.push(event)
    if (event.type === 'handshakeRefused') refusals.push(event.code)
  })
  const seen = { port: 0, peers: [] as (PeerCertificate | undefined)[], sockets: [] as TLSSocket[], events, refusals }
  server.on('secureConnection', (socket) => {
    socket.on('error', () => undefined)
    if (socket.destroyed) return
    seen.sockets.push(socket)
    seen.peers.push(peerCertificateOf(socket, bundle))
    socket.write('hello\n')
  })
  seen.port = await listen(server)
  return seen
}

export async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** How a client's attempt ended: with the server's line, or with the code of the error. */
export interface Attempt {
  readonly outcome: string
  readonly resumed: boolean
  readonly session: Buffer | undefined
  readonly protocol: string | null
  readonly socket: TLSSocket
}

/** Connects, waits for the line or the end, and for the session that may be resumed. */
export async function attempt(port: number, bundle: ClientTlsBundle, options: ConnectionOptions = {}): Promise<Attempt> {
  const socket = tls.connect({ port, ...secureClientOptions(bundle, { host: 'localhost' }), ...options, host: '127.0.0.1' })
  onTestFinished(() => void socket.destroy())
  let session: Buffer | undefined
  socket.on('session', (data) => (session = data))
  const outcome = await new Promise<string>((resolve) => {
    socket.once('data', (data) => resolve(String(data).trim()))
    socket.on('error', (error: Error & { code?: string }) =>
      resolve(error.code === undefined || error.code === 'UNSPECIFIED' ? error.message : error.code),
    )
    socket.once('close', () => resolve('closed'))
  })
  // The runtime tells of a session a moment after the data that came behind it.
  if (!socket.destroyed) await new Promise((resolve) => setImmediate(resolve))
  return { outcome, resumed: socket.isSessionReused() ?? false, session, protocol: socket.getProtocol(), socket }
}

/** Waits until something holds, for at most five seconds. */
export async function until(holds: () => boolean): Promise<void> {
  for (const end = Date.now() + 5_000; !holds();) {
    if (Date.now() > end) throw new Error('It did not come to hold.')
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}
