import {
  ConfigurationError,
  checkOptions,
  requireGuard,
  requireText,
  secret,
  type Guard,
  type Principal,
  type ReportedEvent,
  type Secret,
} from '@portcullis/core'
import { attach, peerCertificateOf, secureServerOptions, type ServerTlsBundle } from '@portcullis/tls'
import { once } from 'node:events'
import { createServer as createPlainServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { RabbitmqErrorCode } from '../errors.ts'
import type { CallName } from './calls.ts'

/** The broker proves itself by its client certificate. */
export interface BrokerOverTls {
  /** With `clientCertificates: { require: … }`. Whoever made it closes it. */
  readonly tls: ServerTlsBundle
  /** Says which certificates are the broker's: `guard({ authenticate: clientCertificate({ tls, issuers }) })`. */
  readonly guard: Guard<Principal>
  /** The address to listen on. Default: `127.0.0.1`. */
  readonly host?: string
}

/** The broker runs on this machine, and knows a secret: the first part of the path of each of its four URLs. */
export interface BrokerOnLoopback {
  /** At least 32 characters that need no encoding in a path (letters, digits, `-` and `_`). The broker's own log shows it at level `debug`. */
  readonly secret: string | Secret
  /** Default: `127.0.0.1`. */
  readonly host?: '127.0.0.1' | '::1'
}

/** What the broker gets to read: a status that is not 200 is an error to it, and refuses too. */
export interface Answer {
  readonly status: number
  readonly text: string
}

export interface ListenerOptions {
  readonly broker: BrokerOverTls | BrokerOnLoopback
  readonly port: number
  readonly report: (event: ReportedEvent) => void
  /** Gets whole bodies of the broker's calls only. */
  readonly answer: (call: CallName, body: Buffer) => Promise<Answer>
}

// A name and a token as password within one frame of a login (4,096 bytes, 8,192 from RabbitMQ 4), each byte in three characters.
const maxBodyBytes = 32_768
// As many as a broker opens at once after a restart; it takes the others for refused, and its clients come again.
const maxConnections = 1_000
const requestTimeoutMs = 10_000
// Longer than the 120 seconds for which the broker's HTTP client keeps a connection, so that it is the one to close.
const idleMs = 130_000
const formType = /^application\/x-www-form-urlencoded *(?:;|$)/i
const callNames: ReadonlySet<string> = new Set<CallName>(['user', 'vhost', 'resource', 'topic'])

/** Opens the endpoints. Who is not the broker gets no byte: the connection is closed. */
export async function listen(options: ListenerOptions): Promise<{ readonly port: number; close(): Promise<void> }> {
  const { broker, port, report } = options
  const isBroker = 'tls' in broker ? byCertificate(broker) : bySecret(broker)

  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { remoteAddress } = request.socket
    const path = await isBroker(request)
    if (path === undefined) {
      request.socket.destroy()
      return report(refused('handshakeRefused', 'Somebody who is not the broker called.', remoteAddress))
    }
    const fault = faultOf(request, path)
    if (fault !== undefined) {
      report(refused('warning', fault.text, remoteAddress))
      return send(response, { status: fault.status, text: '' })
    }
    const body = await bodyOf(request)
    send(response, await options.answer(path as CallName, body))
  }
  const { server, detach } = serverFor(options, (request, response) => {
    // Who goes away in between gets no answer.
    request.on('error', () => undefined)
    response.on('error', () => undefined)
    take(request, response).catch(() => request.socket.destroy())
  })
  server.maxConnections = maxConnections
  server.on('drop', (data) => report(refused('warning', 'Too many connections at once; one was cut.', data?.remoteAddress)))
  // The runtime would answer these by itself, whoever asks.
  server.on('clientError', (_error, socket) => socket.destroy())
  server.on('checkContinue', (request: IncomingMessage) => request.socket.destroy())
  server.on('checkExpectation', (request: IncomingMessage) => request.socket.destroy())
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const close = async (): Promise<void> => {
    const closed = server.listening ? once(server, 'close') : undefined
    server.close()
    // Also those that are in their handshake still.
    for (const socket of sockets) socket.destroy()
    await closed
  }
  try {
    server.listen(port, broker.host ?? '127.0.0.1')
    await once(server, 'listening')
  } catch (error) {
    detach()
    throw error
  }
  return { port: (server.address() as AddressInfo).port, close }
}

/** Refuses options that would let anybody ask. */
export function checkBroker(broker: BrokerOverTls | BrokerOnLoopback | undefined): BrokerOverTls | BrokerOnLoopback {
  if (typeof broker !== 'object' || broker === null) throw new ConfigurationError('ERR_OPTION_MISSING', 'authority: broker is required.')
  if ('tls' in broker) {
    checkOptions<BrokerOverTls>('authority: broker', broker, { tls: true, guard: true, host: true })
    requireGuard('authority: broker', broker.guard)
    if (broker.host !== undefined) requireText('authority: broker.host', broker.host)
    return broker
  }
  checkOptions<BrokerOnLoopback>('authority: broker', broker, { secret: true, host: true })
  const { host = '127.0.0.1' } = broker
  if (!['127.0.0.1', '::1'].includes(host))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'authority: with a secret, broker.host is 127.0.0.1 or ::1; elsewhere use `tls`.')
  if (broker.secret === undefined || !/^[\w-]{32,}$/.test(secret(broker.secret).reveal()))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'authority: broker.secret must be 32 or more letters, digits, - and _.')
  return broker
}

function serverFor(
  { broker, report }: ListenerOptions,
  handle: (request: IncomingMessage, response: ServerResponse) => void,
): { readonly server: Server; readonly detach: () => void } {
  const bounds = {
    maxHeaderSize: 8_192,
    headersTimeout: requestTimeoutMs,
    requestTimeout: requestTimeoutMs,
    connectionsCheckingInterval: requestTimeoutMs / 2,
    keepAliveTimeout: idleMs,
    requireHostHeader: false,
  }
  if (!('tls' in broker)) return { server: createPlainServer(bounds, handle), detach: () => undefined }
  const server = createSecureServer({ ...secureServerOptions(broker.tls, { alpn: ['http/1.1'] }), ...bounds }, handle)
  const detach = attach(server, broker.tls)
  // What happens before any call belongs into the same audit trail.
  const unsubscribe = broker.tls.subscribe((event) => {
    if (event.type !== 'handshakeRefused' || event.server !== server) return
    const { type, code, error: cause, remoteAddress } = event
    report({ type, protocol: 'amqp', code, cause, ...(remoteAddress !== undefined && { remoteAddress }) })
  })
  server.once('close', unsubscribe)
  return {
    server,
    detach: () => {
      detach()
      unsubscribe()
    },
  }
}

/** Whose request this is: the path below what proves the broker, or `undefined` for anybody else. */
type BrokerCheck = (request: IncomingMessage) => Promise<string | undefined>

function bySecret(broker: BrokerOnLoopback): BrokerCheck {
  const expected = secret(broker.secret)
  return async ({ url = '' }) => {
    const [, presented = '', ...path] = url.split('/')
    return expected.equals(presented) ? path.join('/') : undefined
  }
}

function byCertificate({ tls, guard }: BrokerOverTls): BrokerCheck {
  return async ({ socket, url = '' }) => {
    const certificate = peerCertificateOf(socket as TLSSocket, tls)
    const { remoteAddress } = socket
    const decision = await guard.decide({
      credentials: [],
      action: 'ask',
      resource: 'rabbitmq-authority',
      attributes: {},
      channel: {
        from: 'peer',
        protocol: 'https',
        secure: true,
        ...(certificate !== undefined && { certificate }),
        ...(remoteAddress !== undefined && { remoteAddress }),
      },
    })
    // In plain JavaScript the guard may be one that admits everybody.
    return decision.outcome === 'allow' && decision.principal.kind === 'principal' ? url.slice(1) : undefined
  }
}

/** What is wrong with a call of the broker, for its log by the status, and for ours by words that hold nothing of the call. */
function faultOf({ method, headers }: IncomingMessage, path: string): Answer | undefined {
  const length = headers['content-length']
  // By GET passwords would stand in the URL, and so in logs.
  if (method !== 'POST') return { status: 405, text: 'The broker needs `auth_http.http_method = post`.' }
  if (!callNames.has(path)) return { status: 404, text: 'The broker asks a path that is none of user, vhost, resource and topic.' }
  if (!formType.test(headers['content-type'] ?? '')) return { status: 415, text: 'A call holds no form.' }
  if (length === undefined) return { status: 411, text: 'A call does not say how long it is.' }
  return Number(length) > maxBodyBytes ? { status: 413, text: `A call is longer than ${maxBodyBytes} bytes.` } : undefined
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  // The runtime sees to it that no more comes than the length that was announced.
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

function send(response: ServerResponse, { status, text }: Answer): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'cache-control': 'no-store',
    // The rest of a call that was not read must not be taken for the next one.
    ...(status >= 400 && { connection: 'close' }),
  })
  response.end(text)
}

function refused(type: 'handshakeRefused' | 'warning', message: string, remoteAddress: string | undefined): ReportedEvent {
  return {
    type,
    protocol: 'amqp',
    code: 'ERR_RABBITMQ_AUTHORITY_CALL' satisfies RabbitmqErrorCode,
    message,
    ...(remoteAddress !== undefined && { remoteAddress }),
  }
}
