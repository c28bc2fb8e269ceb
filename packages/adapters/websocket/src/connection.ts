import type { ClientRequest, IncomingMessage } from 'node:http'
import {
  AuthenticationError,
  otherCredential,
  UnavailableError,
  type BoundSource,
  type Clock,
  type CoreErrorCode,
  type Credential,
  type Supplied,
} from '@portcullis/core'
import { connectTls, type ClientTlsBundle } from '@portcullis/tls'
import { WebSocket, type ClientOptions } from 'ws'
import type { WebSocketErrorCode } from './errors.ts'
import { heed, handshakeError, present, type Refused } from './present.ts'
import { isTag, sessionField } from './session-frame.ts'

/** What every connection of a client is opened with. */
export interface ConnectionSettings {
  readonly url: URL
  /** `https://host:port`: a WebSocket begins as a request to it, and its credentials are those of that server. */
  readonly origin: string
  readonly tls: ClientTlsBundle
  readonly serverName: string | undefined
  readonly credentials: BoundSource | undefined
  readonly protocols: readonly string[]
  readonly handshakeMs: number
  readonly maxMessageBytes: number
  readonly clock: Clock
}

/** An open connection. */
export interface Connection {
  readonly socket: WebSocket
  /** By which session frames are told apart, if the listener has them. */
  readonly tag: string | undefined
  readonly supplied: Supplied | undefined
}

// As the listener's: a peer that does not answer a close is cut.
const closingMs = 1_000

/**
 * Asks the source for a credential for this listener; `refused` names the one that was not accepted. A source that has no
 * other is no outage: what it lacks, waiting does not bring.
 */
export async function supply(settings: ConnectionSettings, signal: AbortSignal, refused?: Credential): Promise<Supplied | undefined> {
  const { credentials, origin, url } = settings
  if (credentials === undefined) return undefined
  return otherCredential(
    (request) =>
      credentials({
        ...request,
        target: { origin, secure: true },
        // RFC 9449 section 4.2: what a proof names is the request, which is HTTP's.
        binding: { method: 'GET', uri: `${origin}${url.pathname}` },
        signal,
      }),
    refused,
    (cause) =>
      new AuthenticationError<WebSocketErrorCode>('ERR_WEBSOCKET_REFUSED', {
        message: `${origin} refused the credential, and the source has no other.`,
        cause,
      }),
  )
}

/**
 * Opens a connection with a credential that is fetched for it. If that very credential is refused, the source is told and
 * asked once more; the same one is never sent twice.
 */
export async function open(settings: ConnectionSettings, signal: AbortSignal, refused?: Credential): Promise<Connection> {
  const first = await supply(settings, signal, refused)
  const answer = await handshake(settings, signal, first)
  if ('socket' in answer) return answer
  if (first === undefined || !heed(answer)) throw handshakeError(settings.origin, answer)
  const second = await supply(settings, signal, first.credential)
  const last = await handshake(settings, signal, second)
  if ('socket' in last) return last
  throw handshakeError(settings.origin, last)
}

async function handshake(settings: ConnectionSettings, signal: AbortSignal, supplied: Supplied | undefined): Promise<Connection | Refused> {
  const { url, origin, tls, serverName, protocols, handshakeMs, maxMessageBytes, clock } = settings
  const fields = supplied === undefined ? {} : present(supplied.credential)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const port = url.port === '' ? 443 : Number(url.port)
  // The server is proven before a byte of the handshake, which has the credential in it, is written.
  const wire = await connectTls(tls, { host, port, signal, ...(serverName !== undefined && { serverName }) })
  const options: ClientOptions & { readonly closeTimeout: number } = {
    createConnection: () => wire,
    headers: { ...fields, [sessionField]: '1' },
    maxPayload: maxMessageBytes,
    perMessageDeflate: false,
    followRedirects: false,
    closeTimeout: closingMs,
  }
  let socket: WebSocket
  try {
    socket = new WebSocket(url, [...protocols], options)
  } catch (error) {
    // A sub-protocol or a credential that no field can carry.
    wire.destroy()
    throw error
  }
  // Whoever waits is told below; afterwards `close` says all.
  socket.on('error', () => undefined)
  const { promise, resolve, reject } = Promise.withResolvers<Connection | Refused>()
  const unavailable = (message: string, cause?: unknown): void =>
    reject(new UnavailableError<WebSocketErrorCode>('ERR_WEBSOCKET_UNAVAILABLE', { message: `${origin}: ${message}`, cause }))
  const failed = (cause: Error): void => unavailable('the handshake failed.', cause)
  const aborted = (): void => reject(new UnavailableError<CoreErrorCode>('ERR_ABORTED', 'The caller gave up.'))
  // The library's own limit counts from the beginning of a connection that it makes itself.
  const timer = clock.schedule(handshakeMs, () => unavailable(`no answer to the handshake within ${handshakeMs} ms.`))
  let tag: string | undefined
  socket.once('error', failed)
  socket.once('upgrade', ({ headers }: IncomingMessage) => {
    const field = headers[sessionField]
    if (typeof field === 'string' && isTag(field)) tag = field
  })
  socket.once('unexpected-response', (_request: ClientRequest, answer: IncomingMessage) => resolve(refusedBy(answer)))
  socket.once('open', () => resolve({ socket, tag, supplied }))
  signal.addEventListener('abort', aborted)
  if (signal.aborted) aborted()
  try {
    const outcome = await promise
    if (!('socket' in outcome)) wire.destroy()
    return outcome
  } catch (error) {
    wire.destroy()
    throw error
  } finally {
    timer.cancel()
    signal.removeEventListener('abort', aborted)
    socket.off('error', failed)
  }
}

function refusedBy({ statusCode = 0, headersDistinct }: IncomingMessage): Refused {
  const seconds = Number(headersDistinct['retry-after']?.[0])
  return {
    status: statusCode,
    challenges: (headersDistinct['www-authenticate'] ?? []).join(', '),
    retryAfterMs: Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined,
  }
}
