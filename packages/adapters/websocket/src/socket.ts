import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  AuthSession,
  ConfigurationError,
  type AccessRequest,
  type Action,
  type Anonymous,
  type Decision,
  type EndReason,
  type Guard,
  type Principal,
  type Refusal,
  type Watched,
} from '@portcullis/core'
import { WebSocket } from 'ws'
import { describeAgain } from './describe.ts'
import { heard } from './heartbeat.ts'
import type { FirstMessageLimits, WebSocketLimits } from './limits.ts'
import { cutsOff, endings, faults, refusals, refusedFrame, type Closing } from './refuse.ts'
import { contentOf, readClientFrame, writeFrame, type ListenerFrame } from './session-frame.ts'

type Party = Principal | Anonymous
type Sendable = Parameters<WebSocket['send']>[0]
type SendOptions = Parameters<WebSocket['send']>[1]
type Callback = (error?: Error) => void

/** What is done with a connection whose peer is proven. A socket's messages begin in the same tick, so listen to them before any `await`. */
export type SocketHandler<P extends Party = Principal> = (
  socket: GuardedSocket<P>,
  principal: P,
  request: IncomingMessage,
) => void | Promise<void>

/** How each message is judged, where each is. */
export interface MessageLevel<P extends Party = Principal> {
  /** Default: the endpoint's guard. */
  readonly guard?: Guard<P>
  /** What a message asks for. What it throws closes the connection with 1008. */
  readonly action: (data: Buffer, isBinary: boolean) => Action
  /** Called in place of closing the connection (4401, 4403, 1013 or 1011) when a message is refused. */
  readonly onRefused?: (socket: GuardedSocket<P>, refusal: Refusal, data: Buffer) => void
}

/** How long sessions last; as in core's `AuthSessionOptions`. */
export interface SessionTimes {
  /** The longest life of a session whose principal has no expiry, in milliseconds. Default: an hour. */
  readonly maxSessionMs?: number
  /** How long before the end the peer and the application are warned, in milliseconds. Default: 60,000, at most half of what is left. */
  readonly warnBeforeMs?: number
  /** How long a connection may live on after expiry, in milliseconds, up to 60,000. Default: 0. Never applies to revocation. */
  readonly graceMs?: number
}

/** What all sockets of an endpoint share. */
export interface Shared<P extends Party> {
  readonly guard: Guard<P>
  readonly handler: SocketHandler<P>
  readonly message: MessageLevel<P> | undefined
  readonly session: Required<SessionTimes>
  readonly limits: Required<WebSocketLimits>
  readonly firstMessage: Required<FirstMessageLimits> | undefined
  /** Counts a connection of the principal; false if there are too many. */
  admit(principal: P): boolean
  /** The socket's peer is proven: it counts as open, and no longer as waiting. */
  proven(socket: GuardedSocket<P>): void
  /** The socket is closed. */
  closed(socket: GuardedSocket<P>, principal: P | undefined): void
}

/** An upgrade that was answered with 101. */
export interface Opened {
  readonly access: AccessRequest
  readonly request: IncomingMessage
  /** Present if the peer takes session frames. */
  readonly tag: string | undefined
  /** Whether the first frame must tell the tag. */
  readonly greets: boolean
}

/** Begins a connection whose peer is proven. */
export const begin: unique symbol = Symbol('portcullis.websocket.begin')
/** Begins a connection whose first message is to prove its peer. */
export const beginUnproven: unique symbol = Symbol('portcullis.websocket.beginUnproven')
/** Ends a connection with the words of a reason. */
export const end: unique symbol = Symbol('portcullis.websocket.end')

/**
 * A WebSocket of the library `ws` whose peer is proven, for as long as it is. When the principal expires, is revoked, or
 * is no longer admitted, it closes by itself, and nothing is delivered in either direction afterwards.
 *
 * Beside the events of `ws` it has `expiring` (with the date) before its session ends, and `reauthenticated` (with the
 * principal) when the peer has renewed it. An error of the connection that nobody listens to is dropped: `close` follows.
 */
export class GuardedSocket<P extends Party = Principal> extends WebSocket {
  [heard] = true
  #shared: Shared<P> | undefined
  #session: AuthSession<P> | undefined
  #access: AccessRequest | undefined
  #tag: string | undefined
  #over = false
  #busy = false
  #waiting: (readonly [data: Buffer, isBinary: boolean])[] | undefined
  #unproven: IncomingMessage | undefined

  /** Who the peer is at the moment. */
  get principal(): P {
    return this.#held.principal
  }

  /** When the connection ends unless the peer re-authenticates. */
  get endsAt(): Date {
    return this.#held.endsAt
  }

  /** Judges an action of the present principal; for what one message among many asks for. */
  authorize(action: Action): Decision<P> | Promise<Decision<P>> {
    return this.#held.authorize(action)
  }

  /** Registers something that is open within the connection (a subscription) and ends when rights change; returns how to say that it is closed. */
  watch(watched: Watched<P>): () => void {
    return this.#held.watch(watched)
  }

  override send(data: Sendable, callback?: Callback): void
  override send(data: Sendable, options: SendOptions, callback?: Callback): void
  override send(data: Sendable, options?: SendOptions | Callback, callback?: Callback): void {
    const shared = this.#shared
    if (shared !== undefined && this.bufferedAmount > shared.limits.maxUnreadBytes && this.readyState === WebSocket.OPEN) {
      this.#report('ERR_WEBSOCKET_UNREAD')
      this.terminate()
    }
    // One of the two forms above, which the library takes apart by itself.
    super.send(data, options as SendOptions, callback)
  }

  override emit(event: string | symbol, ...values: unknown[]): boolean {
    switch (event) {
      case 'message':
        this[heard] = true
        this.#receive(values[0] as Buffer, values[1] as boolean)
        return true
      case 'ping':
      case 'pong':
        this[heard] = true
        break
      case 'close':
        this.#closed()
        break
      case 'error':
        if (this.listenerCount('error') === 0) return false
    }
    return super.emit(event, ...values)
  }

  [begin](shared: Shared<P>, opened: Opened, principal: P): void {
    this.#hold(shared, opened)
    this.#start(principal, opened.request, opened.greets)
  }

  [beginUnproven](shared: Shared<P>, opened: Opened, wire: Duplex, limits: Required<FirstMessageLimits>): void {
    this.#hold(shared, opened)
    this.#unproven = opened.request
    const timer = shared.guard.clock.schedule(limits.withinMs, () => this.#fail('ERR_WEBSOCKET_HANDSHAKE_TIMEOUT'))
    let bytes = 0
    const count = (chunk: Buffer): void => {
      bytes += chunk.byteLength
      if (this.#over || bytes <= limits.maxBytes) return
      // Cut, not closed: what a peer sends while it is asked to close is read and kept too.
      this.#over = true
      this.#report('ERR_WEBSOCKET_FRAME')
      this.terminate()
    }
    // Before the library reads them: a message that is not whole yet is kept in memory.
    wire.prependListener('data', count)
    this.once(proven, () => {
      timer.cancel()
      wire.off('data', count)
    })
    this.#tell({ type: 'authenticate' })
  }

  [end](reason: EndReason): void {
    if (this.#over) return
    this.#over = true
    this.#session?.close(reason === 'shutdown' ? 'shutdown' : 'closed')
    if (cutsOff[reason] && this.bufferedAmount > 0) this.terminate()
    else this.#say(endings[reason])
  }

  #hold(shared: Shared<P>, { access, tag }: Opened): void {
    this.#shared = shared
    this.#access = access
    this.#tag = tag
  }

  get #held(): AuthSession<P> {
    if (this.#session === undefined) throw new ConfigurationError('ERR_GUARD_NOT_RUN', 'The peer of this connection is not proven.')
    return this.#session
  }

  #start(principal: P, request: IncomingMessage, greets: boolean): void {
    const { shared } = this.#begun
    this.#unproven = undefined
    this.emit(proven)
    shared.proven(this)
    this.#session = this.#newSession(principal)
    // Revoked in between, it has ended within its constructor.
    if (this.#over) return
    // Before anything of the application, since a browser takes the tag from the first frame.
    if (greets) this.#tellExpiry()
    this.#run(() => shared.handler(this, principal, request))
  }

  /** A function of its own: what is closed over here is kept as long as the connection, and a request is several kilobytes. */
  #newSession(principal: P): AuthSession<P> {
    const { shared, access } = this.#begun
    const { remoteAddress } = access.channel as { readonly remoteAddress?: string }
    const { maxSessionMs, warnBeforeMs, graceMs } = shared.session
    return new AuthSession<P>({
      guard: shared.guard,
      principal,
      action: access,
      protocol: 'wss',
      remoteAddress: remoteAddress ?? '',
      maxSessionMs,
      warnBeforeMs,
      graceMs,
      onWarning: (expiresAt) => this.#warn(expiresAt),
      onEnd: (reason) => this[end](reason),
    })
  }

  #warn(expiresAt: Date): void {
    this.#tell({ type: 'expiring', expiresAt: expiresAt.toISOString() })
    this.emit('expiring', expiresAt)
  }

  /** Runs code of the application: what it throws closes the connection, and never the process. */
  #run(task: () => unknown): void {
    const failed = (cause: unknown): void => this.#fail('ERR_WEBSOCKET_HANDLER_FAILED', cause)
    try {
      const running = task()
      if (running instanceof Promise) running.catch(failed)
    } catch (cause) {
      failed(cause)
    }
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#over) return
    if (this.#tag !== undefined && !isBinary) {
      const content = contentOf(this.#tag, data)
      if (content !== undefined) return this.#sessionFrame(content)
    }
    if (this.#session === undefined) return this.#fail('ERR_WEBSOCKET_FRAME')
    const { message } = this.#begun.shared
    if (message === undefined) this.#deliver(data, isBinary)
    else this.#judge(message, data, isBinary)
  }

  #deliver(data: Buffer, isBinary: boolean): void {
    try {
      super.emit('message', data, isBinary)
    } catch (cause) {
      this.#fail('ERR_WEBSOCKET_HANDLER_FAILED', cause)
    }
  }

  /** Messages are judged in order; while one needs I/O, the wire is not read on. */
  #judge(message: MessageLevel<P>, data: Buffer, isBinary: boolean): void {
    if (this.#waiting !== undefined) return void this.#waiting.push([data, isBinary])
    const decision = this.#decide(message, data, isBinary)
    if (!(decision instanceof Promise)) return this.#judged(message, decision, data, isBinary)
    this.#waiting = []
    void this.#drain(message, decision, data, isBinary)
  }

  async #drain(message: MessageLevel<P>, first: Promise<Decision<P>>, data: Buffer, isBinary: boolean): Promise<void> {
    const { isPaused } = this
    this.pause()
    this.#judged(message, await first, data, isBinary)
    // It grows while it is worked off, by what had been read before the pause.
    for (const [next, binary] of this.#waiting ?? []) this.#judged(message, await this.#decide(message, next, binary), next, binary)
    this.#waiting = undefined
    if (!isPaused) this.resume()
  }

  #decide(message: MessageLevel<P>, data: Buffer, isBinary: boolean): Decision<P> | Promise<Decision<P>> | undefined {
    try {
      const action = message.action(data, isBinary)
      return message.guard === undefined ? this.#held.authorize(action) : message.guard.authorize(this.#held.principal, action)
    } catch {
      return undefined
    }
  }

  #judged(message: MessageLevel<P>, decision: Decision<P> | undefined, data: Buffer, isBinary: boolean): void {
    if (this.#over) return
    if (decision?.outcome === 'allow') return this.#deliver(data, isBinary)
    if (decision === undefined) return this.#fail('ERR_WEBSOCKET_FRAME')
    this.#report(decision.code)
    const { onRefused } = message
    if (onRefused === undefined) this.#refuse(decision)
    else this.#run(() => onRefused(this, decision, data))
  }

  #sessionFrame(content: string): void {
    const frame = readClientFrame(content)
    // One attempt at a time: each may cost a signature, or a request to somebody.
    if (frame === undefined || this.#busy) return this.#fail('ERR_WEBSOCKET_FRAME')
    this.#busy = true
    const { shared, access } = this.#begun
    const again = describeAgain(access, frame.authorization)
    const judging = this.#session?.reauthenticate(again) ?? shared.guard.decide(again)
    // A guard neither throws nor rejects.
    void Promise.resolve(judging).then((decision) => this.#answer(again, decision))
  }

  #answer(access: AccessRequest, decision: Decision<P>): void {
    this.#busy = false
    if (this.#over) return
    if (this.#unproven !== undefined) {
      if (decision.outcome !== 'allow') return this.#refuse(decision)
      if (!this.#begun.shared.admit(decision.principal)) return this.#fail('ERR_WEBSOCKET_CONNECTIONS')
      this.#access = access
      return this.#start(decision.principal, this.#unproven, true)
    }
    if (decision.outcome !== 'allow') return this.#tell(refusedFrame(decision))
    this.#access = access
    this.#tellExpiry()
    this.#run(() => this.emit('reauthenticated', decision.principal))
  }

  #tellExpiry(): void {
    if (!this.#over) this.#tell({ type: 'authenticated', expiresAt: this.endsAt.toISOString() })
  }

  #tell(frame: ListenerFrame): void {
    if (this.#tag !== undefined) this.send(writeFrame(this.#tag, frame))
  }

  #refuse(refusal: Refusal): void {
    this.#finish(refusals[refusal.reason])
  }

  #fail(code: keyof typeof faults, cause?: unknown): void {
    if (this.#over) return
    this.#report(code, cause)
    this.#finish(faults[code])
  }

  /** Closes for a reason that is not the session's. */
  #finish(closing: Closing): void {
    this.#over = true
    this.#session?.close()
    this.#say(closing)
  }

  #say({ code, text }: Closing): void {
    this.close(code, text)
  }

  #closed(): void {
    this.#over = true
    super.emit(proven)
    this.#session?.close()
    this.#shared?.closed(this, this.#session?.principal)
  }

  #report(code: string, cause?: unknown): void {
    const { shared, access } = this.#begun
    const { remoteAddress } = access.channel as { readonly remoteAddress?: string }
    shared.guard.report({
      type: code === 'ERR_WEBSOCKET_HANDLER_FAILED' ? 'warning' : 'messageRefused',
      protocol: 'wss',
      code,
      ...(this.#session !== undefined && { principal: this.#session.principal }),
      ...(remoteAddress !== undefined && { remoteAddress }),
      ...(cause !== undefined && { cause }),
    })
  }

  get #begun(): { readonly shared: Shared<P>; readonly access: AccessRequest } {
    if (this.#shared === undefined || this.#access === undefined)
      throw new ConfigurationError('ERR_GUARD_NOT_RUN', 'The connection has not begun.')
    return { shared: this.#shared, access: this.#access }
  }
}

/** Emitted once, when a connection no longer waits to be proven. */
const proven: unique symbol = Symbol('portcullis.websocket.proven')
