import {
  backoffMs,
  checkOptions,
  ConfigurationError,
  requireFunction,
  requireNumber,
  requireText,
  requireTexts,
  isSecurityError,
  sameCredential,
  systemClock,
  UnavailableError,
  type BoundSource,
  type Clock,
  type SecurityError,
  type Supplied,
  type Timer,
} from '@portcullis/core'
import { isTlsBundle, tlsBundle, type ClientTlsBundle, type ClientTlsOptions } from '@portcullis/tls'
import { WebSocket } from 'ws'
import { open, supply, type Connection, type ConnectionSettings } from './connection.ts'
import type { WebSocketErrorCode } from './errors.ts'
import { heard, heartbeat, type Heard } from './heartbeat.ts'
import { closeError, presentInBand } from './present.ts'
import { contentOf, readListenerFrame, writeFrame } from './session-frame.ts'

/** How a client comes back after its connection broke: exponential back-off with jitter. */
export interface Reconnect {
  /** Attempts in a row before it gives up. Default: 1000, which is most of a day. */
  readonly maxAttempts?: number
  /** The first wait, in milliseconds; doubled with each attempt. Default: 1,000. */
  readonly initialMs?: number
  /** The longest wait, in milliseconds. Default: 60,000. */
  readonly maxMs?: number
}

/** What {@link connect} takes. */
export interface ConnectOptions {
  /** `wss://host:port/path`. */
  readonly url: string | URL
  /** Whom to trust, and a key pair for mutual TLS: options, or a bundle. Default: the public authorities. */
  readonly tls?: ClientTlsBundle | ClientTlsOptions
  /** What to present, at each connection and before each expiry: a `BoundSource`, or a `CredentialSource`, which asks for less. Without it only the certificate speaks. */
  readonly credentials?: BoundSource
  /** Called for each message: text as a string, binary as a buffer. */
  readonly onMessage: (message: string | Buffer) => void
  /** Called after each connection was opened, the first too: the place for what subscribes. If it throws, the connection is closed for good: {@link connect} rejects with that, and later `ended` has it as the cause of `ERR_WEBSOCKET_HANDLER_FAILED`. */
  readonly onOpen?: (client: WebSocketClient) => void
  /** The name to ask the server for and to find in its certificate, where it is not the URL's host. */
  readonly serverName?: string
  /** Sub-protocols on offer, in order of preference. */
  readonly protocols?: readonly string[]
  /** How to come back when the connection breaks; `false` never does. Default: the defaults of {@link Reconnect}. What was sent is not sent again. */
  readonly reconnect?: Reconnect | false
  /** Until the handshake is answered, in milliseconds. Default: 10,000. */
  readonly handshakeMs?: number
  /** A listener from which nothing has come for so long, not even the answer to a ping, is taken for dead. Default: 60,000. */
  readonly idleMs?: number
  /** The longest message that is taken, in bytes. Default: 1,048,576. */
  readonly maxMessageBytes?: number
  readonly clock?: Clock
  /** From 0 to 1, for the jitter. Default: `Math.random`. */
  readonly random?: () => number
}

/** A connection that renews its credential and comes back by itself. */
export interface WebSocketClient extends AsyncDisposable {
  /** The sub-protocol that the listener selected; empty if none. */
  readonly protocol: string
  /** True while messages can be sent. */
  readonly connected: boolean
  /** Sends a message; resolves when it was handed to the network. Rejects with `ERR_WEBSOCKET_CLOSED` while there is no connection: nothing is kept for later. */
  send(message: string | Uint8Array): Promise<void>
  /** Resolves when it will not come back: with the error that ended it, or with nothing after {@link close}. */
  readonly ended: Promise<SecurityError | undefined>
  /** Closes it with 1000. */
  close(): Promise<void>
}

// Time for a fetch and a frame, and some more for clocks that differ.
const renewAheadMs = 30_000
// Of what is left. A new credential has half of its time; a source that caches gives the next one only near the end, in
// the last fifth, and while it fetches that one the old one still: steps of a quarter look there more than once.
const firstLookShare = 1 / 2
const lookAgainShare = 1 / 4
// The shortest step, and with it a bound on how often a source is asked: no frame would be there in time for less.
const shortestStepMs = 100
// A connection that has lived for so long was a success; only then the back-off begins anew.
const stableMs = 10_000

/**
 * Opens a WebSocket over TLS and keeps it open: with credentials fetched anew for each connection, renewed in band before
 * they expire (when the listener warns, and by what the source says), and with back-off after a connection broke.
 *
 * The first connection is tried once. Rejects with `ERR_WEBSOCKET_REFUSED`, `ERR_WEBSOCKET_FORBIDDEN` or
 * `ERR_WEBSOCKET_UNAVAILABLE`, with what `connectTls` and the source throw, and with a `ConfigurationError` for a URL that
 * is not `wss:` or has a user name in it. The target that a source is asked for is the `https:` origin of the URL.
 */
export async function connect(options: ConnectOptions): Promise<WebSocketClient> {
  checkOptions<ConnectOptions>('connect', options, {
    url: true,
    tls: true,
    credentials: true,
    onMessage: true,
    onOpen: true,
    serverName: true,
    protocols: true,
    reconnect: true,
    handshakeMs: true,
    idleMs: true,
    maxMessageBytes: true,
    clock: true,
    random: true,
  })
  const { tls = { side: 'client' }, clock = systemClock, random = Math.random, protocols = [] } = options
  const url = checkedUrl(options.url)
  if (Object.hasOwn(options, 'credentials')) requireFunction('connect credentials', options.credentials)
  if (options.serverName !== undefined) requireText('connect serverName', options.serverName)
  if (options.onOpen !== undefined) requireFunction('connect onOpen', options.onOpen)
  if (Object.hasOwn(options, 'protocols')) requireTexts('connect protocols', protocols)
  requireFunction('connect onMessage', options.onMessage)
  const reconnect = options.reconnect === false ? undefined : checkedReconnect(options.reconnect)
  const idleMs = requireNumber('connect idleMs', options.idleMs ?? 60_000, { min: 10, max: 3_600_000 })
  const handshakeMs = requireNumber('connect handshakeMs', options.handshakeMs ?? 10_000, { min: 1, max: 120_000 })
  const maxMessageBytes = requireNumber('connect maxMessageBytes', options.maxMessageBytes ?? 1_048_576, { min: 1, max: 2 ** 30 })
  const bundle = await tlsBundle(tls)
  const settings: ConnectionSettings = {
    url,
    origin: `https://${url.host}`,
    tls: bundle,
    serverName: options.serverName,
    credentials: options.credentials,
    protocols,
    handshakeMs,
    maxMessageBytes,
    clock,
  }
  const release = (): void => {
    // Who makes a bundle closes it.
    if (!isTlsBundle(tls)) bundle.close()
  }
  const client = new Client({ settings, onMessage: options.onMessage, onOpen: options.onOpen, reconnect, idleMs, random, release })
  await client.begin()
  return client
}

interface ClientParts {
  readonly settings: ConnectionSettings
  readonly onMessage: (message: string | Buffer) => void
  readonly onOpen: ((client: WebSocketClient) => void) | undefined
  readonly reconnect: Required<Reconnect> | undefined
  readonly idleMs: number
  readonly random: () => number
  readonly release: () => void
}

class Client implements WebSocketClient {
  readonly #parts: ClientParts
  readonly #stop = new AbortController()
  readonly #over = Promise.withResolvers<SecurityError | undefined>()
  #connection: Connection | undefined
  #renewal: Timer | undefined
  #renewing = false
  #heeded = false
  #presented: Supplied | undefined
  #attempts = 0

  constructor(parts: ClientParts) {
    this.#parts = parts
  }

  get ended(): Promise<SecurityError | undefined> {
    return this.#over.promise
  }
  get connected(): boolean {
    return this.#connection?.socket.readyState === WebSocket.OPEN
  }
  get protocol(): string {
    return this.#connection?.socket.protocol ?? ''
  }

  async begin(): Promise<void> {
    const connection = await open(this.#parts.settings, this.#stop.signal).catch((error: unknown) => {
      this.#parts.release()
      throw error
    })
    try {
      this.#take(connection)
    } catch (error) {
      await this.close()
      throw error
    }
  }

  send(message: string | Uint8Array): Promise<void> {
    const socket = this.#connection?.socket
    if (socket?.readyState !== WebSocket.OPEN) return Promise.reject(this.#closedError())
    return new Promise((resolve, reject) => socket.send(message, (error) => (error ? reject(this.#closedError(error)) : resolve())))
  }

  async close(): Promise<void> {
    this.#stop.abort()
    this.#connection?.socket.close(1000)
    if (this.#connection === undefined) this.#finish(undefined)
    await this.ended
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #take(connection: Connection): void {
    const { settings, idleMs, onOpen } = this.#parts
    const socket: Heard = Object.assign(connection.socket, { [heard]: true })
    const openedAt = settings.clock.now()
    this.#connection = connection
    this.#presented = connection.supplied
    this.#renewing = this.#heeded = false
    const silence = heartbeat(idleMs, [socket])
    const alive = (): void => void (socket[heard] = true)
    socket.on('ping', alive).on('pong', alive)
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      alive()
      this.#receive(connection, data, isBinary)
    })
    socket.once('close', (code: number) => {
      silence()
      this.#renewal?.cancel()
      this.#connection = undefined
      if (settings.clock.now() - openedAt >= stableMs) this.#attempts = 0
      this.#closed(code)
    })
    if (this.#stop.signal.aborted) return socket.close(1000)
    this.#schedule()
    onOpen?.(this)
  }

  #receive({ tag }: Connection, data: Buffer, isBinary: boolean): void {
    const content = tag === undefined || isBinary ? undefined : contentOf(tag, data)
    if (content === undefined) return this.#parts.onMessage(isBinary ? data : data.toString('utf8'))
    const frame = readListenerFrame(content)
    if (frame?.type === 'expiring') void this.#renew()
    else if (frame?.type === 'authenticated') this.#renewed()
    else if (frame?.type === 'refused') this.#refused(frame.reason === 'invalid')
  }

  /** Sends a newer credential in band, if the source has one and the listener takes it so. One at a time: the listener closes for a second one. */
  async #renew(refused?: Supplied): Promise<void> {
    const connection = this.#connection
    if (this.#renewing || connection?.tag === undefined) return
    this.#renewing = true
    let sent = false
    try {
      const supplied = await supply(this.#parts.settings, this.#stop.signal, refused?.credential)
      const authorization = supplied && presentInBand(supplied.credential)
      if (supplied === undefined || authorization === undefined || this.#connection !== connection) return
      if (this.#presented !== undefined && sameCredential(this.#presented.credential, supplied.credential)) return
      this.#presented = supplied
      connection.socket.send(writeFrame(connection.tag, { type: 'authenticate', authorization }))
      sent = true
    } catch {
      // A failure is no end yet: the listener's clock decides, and there is time for another attempt.
    } finally {
      if (!sent && this.#connection === connection) {
        this.#renewing = false
        this.#schedule(lookAgainShare)
      }
    }
  }

  #renewed(): void {
    this.#renewing = false
    this.#heeded = false
    this.#schedule()
  }

  /** Only another credential is worth another attempt, and only one: whoever is refused twice has a different problem. */
  #refused(invalid: boolean): void {
    this.#renewing = false
    if (!invalid || this.#heeded) return this.#schedule()
    this.#heeded = true
    void this.#renew(this.#presented)
  }

  /** Wakes up ahead of the expiry that the source has named; the nearer that is, the sooner it looks again. */
  #schedule(share = firstLookShare): void {
    this.#renewal?.cancel()
    const { clock } = this.#parts.settings
    const leftMs = (this.#presented?.expiresAt?.getTime() ?? Number.POSITIVE_INFINITY) - clock.now()
    if (this.#connection?.tag === undefined || leftMs === Number.POSITIVE_INFINITY || leftMs <= shortestStepMs) return
    this.#renewal = clock.schedule(Math.max(shortestStepMs, leftMs * share, leftMs - renewAheadMs), () => void this.#renew())
  }

  #closed(code: number): void {
    const { settings, reconnect } = this.#parts
    if (this.#stop.signal.aborted) return this.#finish(undefined)
    const { error, again, refused } = closeError(settings.origin, code)
    if (!again || reconnect === undefined) return this.#finish(error)
    void this.#comeBack(reconnect, error, refused ? this.#presented : undefined)
  }

  async #comeBack(
    { maxAttempts, initialMs, maxMs }: Required<Reconnect>,
    why: SecurityError,
    refused: Supplied | undefined,
  ): Promise<void> {
    const { settings, random } = this.#parts
    let error = why
    while (this.#attempts < maxAttempts) {
      const asked = error instanceof UnavailableError ? (error.retryAfterMs ?? 0) : 0
      await this.#wait(Math.min(maxMs, Math.max(asked, backoffMs(this.#attempts++, initialMs, maxMs, random))))
      if (this.#stop.signal.aborted) return this.#finish(undefined)
      let connection: Connection
      try {
        connection = await open(settings, this.#stop.signal, refused?.credential)
      } catch (cause) {
        if (this.#stop.signal.aborted) return this.#finish(undefined)
        error = isSecurityError(cause) ? cause : this.#sourceFailed(cause)
        if (error.family !== 'unavailable') break
        continue
      }
      try {
        return this.#take(connection)
      } catch (cause) {
        connection.socket.close(1000)
        return this.#finish(this.#openFailed(cause))
      }
    }
    this.#finish(error)
  }

  #wait(delayMs: number): Promise<void> {
    const { clock } = this.#parts.settings
    const { signal } = this.#stop
    return new Promise((resolve) => {
      const timer = clock.schedule(delayMs, () => done())
      const done = (): void => {
        timer.cancel()
        signal.removeEventListener('abort', done)
        resolve()
      }
      signal.addEventListener('abort', done)
    })
  }

  #finish(error: SecurityError | undefined): void {
    this.#stop.abort()
    this.#parts.release()
    this.#over.resolve(error)
  }

  #sourceFailed(cause: unknown): UnavailableError {
    return new UnavailableError<WebSocketErrorCode>('ERR_WEBSOCKET_UNAVAILABLE', {
      message: `The source has no credential for ${this.#parts.settings.origin}.`,
      cause,
    })
  }

  #openFailed(cause: unknown): UnavailableError {
    return new UnavailableError<WebSocketErrorCode>('ERR_WEBSOCKET_HANDLER_FAILED', { message: 'onOpen threw.', cause })
  }

  #closedError(cause?: unknown): UnavailableError {
    return new UnavailableError<WebSocketErrorCode>('ERR_WEBSOCKET_CLOSED', {
      message: `The connection to ${this.#parts.settings.origin} is not open.`,
      cause,
    })
  }
}

function checkedUrl(text: string | URL): URL {
  const url = URL.canParse(String(text)) ? new URL(text) : undefined
  // RFC 6455 section 3: no fragment. A user name or password in a URL ends up in logs.
  if (url?.protocol !== 'wss:' || url.username !== '' || url.password !== '' || url.hash !== '')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'connect `url` is wss://host:port/path, without user name, password and fragment.')
  return url
}

function checkedReconnect(reconnect: Reconnect = {}): Required<Reconnect> {
  checkOptions<Reconnect>('connect reconnect', reconnect, { maxAttempts: true, initialMs: true, maxMs: true })
  return {
    maxAttempts: requireNumber('connect reconnect.maxAttempts', reconnect.maxAttempts ?? 1_000, { min: 1, max: 1_000_000 }),
    initialMs: requireNumber('connect reconnect.initialMs', reconnect.initialMs ?? 1_000, { min: 1, max: 3_600_000 }),
    maxMs: requireNumber('connect reconnect.maxMs', reconnect.maxMs ?? 60_000, { min: 1, max: 3_600_000 }),
  }
}
