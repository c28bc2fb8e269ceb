import type { Listener, UpgradeRequest } from '@portcullis/http'
import {
  checkOptions,
  ConfigurationError,
  defaultMaxSessionMs,
  defaultWarnBeforeMs,
  requireFunction,
  requireGuard,
  requireText,
  requireTexts,
  type AccessRequest,
  type Advice,
  type Anonymous,
  type Decision,
  type Guard,
  type Principal,
} from '@portcullis/core'
import { WebSocketServer, type ServerOptions } from 'ws'
import { anyOrigin } from './danger.ts'
import { bringsCookie, describe, offeredBy, originsOf, standing, type Offered } from './describe.ts'
import { heartbeat } from './heartbeat.ts'
import { resolveFirstMessage, resolveLimits, type FirstMessageLimits, type WebSocketLimits } from './limits.ts'
import { acknowledge, handshakeAnswer, type HandshakeFault } from './refuse.ts'
import { newTag, sessionField, sessionProtocol } from './session-frame.ts'
import {
  begin,
  beginUnproven,
  end,
  GuardedSocket,
  type MessageLevel,
  type Opened,
  type SessionTimes,
  type Shared,
  type SocketHandler,
} from './socket.ts'

type Party = Principal | Anonymous

/** What an endpoint takes, wherever it stands. */
export interface EndpointOptions<P extends Party = Principal> {
  /** Judges every upgrade, and every renewal. */
  readonly guard: Guard<P>
  /** The application's sub-protocols, in the listener's order of preference. The first that a client offers too is selected; without one in common none is. */
  readonly protocols?: readonly string[]
  /**
   * Origins whose pages may connect, besides the listener's own. A browser connects for any page (there is no CORS for
   * WebSocket) and adds cookies and certificates by itself; clients that are no browsers send no `Origin`.
   */
  readonly origins?: readonly string[] | typeof anyOrigin
  /** Judges each message, in order. Without it a message needs no more than a session. */
  readonly message?: MessageLevel<P>
  /** Lets peers that present nothing at the upgrade, and ask for session frames, prove themselves by their first message. Off unless named; `{}` takes the defaults. */
  readonly firstMessage?: FirstMessageLimits
  readonly session?: SessionTimes
  readonly limits?: WebSocketLimits
}

const known = { guard: true, protocols: true, origins: true, message: true, firstMessage: true, session: true, limits: true } as const

// How long a peer may take to answer a close; afterwards it is cut. Revocation is over within a second.
const closingMs = 1_000

/** One path of an HTTP listener at which WebSockets are opened. */
export class Endpoint<P extends Party = Principal> {
  readonly #shared: Shared<P>
  readonly #path: string
  readonly #protocols: readonly string[]
  readonly #origins: ReadonlySet<string> | typeof anyOrigin
  readonly #library: WebSocketServer
  readonly #sockets = new Set<GuardedSocket<P>>()
  readonly #unproven = new Set<GuardedSocket<P>>()
  /** By issuer and subject, which are equal only together. */
  readonly #connections = new Map<string, Map<string, number>>()
  /** What the answer that is being written carries along. */
  #fields: readonly string[] = []
  #detach: (() => void) | undefined
  #idle: (() => void) | undefined

  constructor(where: string, path: string, options: EndpointOptions<P>, handler: SocketHandler<P>) {
    checkOptions<EndpointOptions<P>>(where, options, known)
    const { protocols = [], origins = [], message, firstMessage, session = {} } = options
    if (Object.hasOwn(options, 'protocols')) requireTexts(`${where} protocols`, protocols)
    if (origins !== anyOrigin && Object.hasOwn(options, 'origins')) requireTexts(`${where} origins`, origins).forEach(checkOrigin)
    checkOptions<SessionTimes>(`${where} session`, session, { maxSessionMs: true, warnBeforeMs: true, graceMs: true })
    if (message !== undefined) {
      checkOptions<MessageLevel<P>>(`${where} message`, message, { guard: true, action: true, onRefused: true })
      requireFunction(`${where} message.action`, message.action)
      if (Object.hasOwn(message, 'guard')) requireGuard(`${where} message`, message.guard)
    }
    for (const protocol of protocols) {
      if (protocol === sessionProtocol || protocol.startsWith('bearer.'))
        throw new ConfigurationError('ERR_OPTION_INVALID', `${where}: "${protocol}" is no protocol of an application.`)
    }
    const limits = resolveLimits(options.limits)
    this.#path = requireText(`${where} path`, path)
    this.#protocols = protocols
    this.#origins = origins === anyOrigin ? origins : new Set(origins)
    this.#shared = {
      guard: requireGuard(where, options.guard),
      handler: requireFunction(`${where} handler`, handler),
      message,
      session: { maxSessionMs: defaultMaxSessionMs, warnBeforeMs: defaultWarnBeforeMs, graceMs: 0, ...session },
      limits,
      firstMessage: firstMessage === undefined ? undefined : resolveFirstMessage(firstMessage),
      admit: (principal) => this.#admit(principal),
      proven: (socket) => {
        this.#unproven.delete(socket)
        this.#sockets.add(socket)
      },
      closed: (socket, principal) => this.#closed(socket, principal),
    }
    const settings: ServerOptions<typeof GuardedSocket> & { readonly closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      WebSocket: GuardedSocket,
      maxPayload: limits.maxMessageBytes,
      // Compression before encryption tells secrets by length wherever a peer can have its text sent beside them (CRIME), and costs 300 kB a connection.
      perMessageDeflate: false,
      closeTimeout: closingMs,
      handleProtocols: (offered) => this.#select(offered),
    }
    this.#library = new WebSocketServer(settings)
    this.#library.on('headers', (headers) => headers.push(...this.#fields))
  }

  /** The open connections of proven peers. */
  get sockets(): ReadonlySet<GuardedSocket<P>> {
    return this.#sockets
  }

  /** Takes upgrades of its path over from a listener. */
  attach(server: Listener): void {
    const own = new URL(server.origin).origin
    this.#detach = server.onUpgrade({
      protocol: 'websocket',
      path: this.#path,
      upgrade: (upgrade) => this.#upgrade(upgrade, own),
      closing: () => void this.close(),
    })
    this.#idle = heartbeat(this.#shared.limits.idleMs, this.#all())
  }

  /** Takes no more upgrades, and ends every connection with 1001. Resolves when all are closed, which takes a second at most. */
  async close(): Promise<void> {
    this.#detach?.()
    this.#detach = undefined
    const open = [...this.#all()]
    await Promise.all(
      open.map((socket) => {
        const { promise, resolve } = Promise.withResolvers<void>()
        socket.once('close', () => resolve())
        socket[end]('shutdown')
        return promise
      }),
    )
    this.#idle?.()
  }

  #all(): Iterable<GuardedSocket<P>> {
    const [sockets, unproven] = [this.#sockets, this.#unproven]
    return {
      *[Symbol.iterator]() {
        yield* sockets
        yield* unproven
      },
    }
  }

  #upgrade(upgrade: UpgradeRequest, own: string): void | Promise<void> {
    const from = originsOf(upgrade.request)
    if (!from.every((origin) => this.#allows(origin, own))) return this.#refuse(upgrade, 'ERR_WEBSOCKET_ORIGIN')
    const offered = offeredBy(upgrade.request)
    const access = describe(upgrade, this.#path, offered)
    // A cookie goes along whoever asks, and only an origin of the list, or one's own, says who did.
    if (bringsCookie(access) && (from.length === 0 || (this.#origins === anyOrigin && !from.includes(own))))
      return this.#refuse(upgrade, 'ERR_WEBSOCKET_ORIGIN')
    const decision = this.#shared.guard.decide(access)
    if (!(decision instanceof Promise)) return this.#decided(upgrade, offered, access, decision)
    return this.#awaited(upgrade, offered, access, decision)
  }

  async #awaited(upgrade: UpgradeRequest, offered: Offered, access: AccessRequest, judging: Promise<Decision<P>>): Promise<void> {
    const { guard, limits } = this.#shared
    const late = Promise.withResolvers<undefined>()
    const timer = guard.clock.schedule(limits.handshakeMs, () => late.resolve(undefined))
    const decision = await Promise.race([judging, late.promise])
    timer.cancel()
    if (decision === undefined) this.#refuse(upgrade, 'ERR_WEBSOCKET_HANDSHAKE_TIMEOUT')
    else this.#decided(upgrade, offered, access, decision)
  }

  #decided(upgrade: UpgradeRequest, offered: Offered, access: AccessRequest, decision: Decision<P>): void {
    if (this.#detach === undefined) return void upgrade.socket.destroy()
    if (decision.outcome === 'allow') {
      if (!this.#admit(decision.principal)) return this.#refuse(upgrade, 'ERR_WEBSOCKET_CONNECTIONS')
      const { principal, advice } = decision
      if (!this.#open(upgrade, offered, access, advice, (socket, opened) => socket[begin](this.#shared, opened, principal)))
        this.#leave(principal)
      return
    }
    const { firstMessage } = this.#shared
    if (firstMessage === undefined || offered.session === undefined || decision.reason !== 'missing' || access.credentials.length > 0)
      return upgrade.refuse(decision)
    if (this.#unproven.size >= firstMessage.maxUnproven) return this.#refuse(upgrade, 'ERR_WEBSOCKET_UNPROVEN')
    this.#open(upgrade, offered, access, undefined, (socket, opened) => {
      this.#unproven.add(socket)
      socket[beginUnproven](this.#shared, opened, upgrade.socket, firstMessage)
    })
  }

  /** Answers with 101; false if the handshake is no WebSocket's, which the library has answered, or the peer has gone while it was judged. */
  #open(
    { request, socket, head }: UpgradeRequest,
    { session }: Offered,
    access: AccessRequest,
    advice: Advice | undefined,
    opened: (socket: GuardedSocket<P>, opened: Opened) => void,
  ): boolean {
    const tag = session === undefined ? undefined : newTag()
    this.#fields = [...acknowledge(advice), ...(session === 'field' ? [`${sessionField}: ${tag}`] : [])]
    let done = false
    this.#library.handleUpgrade(request, socket, head, (made) => {
      done = true
      opened(made as GuardedSocket<P>, { access: standing(access), request, tag, greets: session === 'protocol' })
    })
    return done
  }

  #select(offered: ReadonlySet<string>): string | false {
    const common = this.#protocols.find((protocol) => offered.has(protocol))
    // A browser fails where it offered something and nothing is selected; this it has offered.
    return common ?? (offered.has(sessionProtocol) ? sessionProtocol : false)
  }

  #allows(origin: string, own: string): boolean {
    return this.#origins === anyOrigin || origin === own || this.#origins.has(origin)
  }

  #refuse({ socket, channel }: UpgradeRequest, code: HandshakeFault): void {
    this.#shared.guard.report({
      type: 'handshakeRefused',
      protocol: 'wss',
      code,
      ...(channel.remoteAddress !== undefined && { remoteAddress: channel.remoteAddress }),
    })
    socket.end(handshakeAnswer(code), () => socket.destroy())
  }

  #admit(principal: P): boolean {
    if (principal.kind !== 'principal') return true
    const { issuer, subject } = principal
    const ofIssuer = this.#connections.get(issuer) ?? new Map<string, number>()
    const count = ofIssuer.get(subject) ?? 0
    if (count >= this.#shared.limits.maxConnectionsPerPrincipal) return false
    this.#connections.set(issuer, ofIssuer.set(subject, count + 1))
    return true
  }

  #leave(principal: P): void {
    if (principal.kind !== 'principal') return
    const { issuer, subject } = principal
    const ofIssuer = this.#connections.get(issuer)
    const count = ofIssuer?.get(subject) ?? 0
    if (count > 1) ofIssuer?.set(subject, count - 1)
    else ofIssuer?.delete(subject)
    if (ofIssuer?.size === 0) this.#connections.delete(issuer)
  }

  #closed(socket: GuardedSocket<P>, principal: P | undefined): void {
    this.#unproven.delete(socket)
    this.#sockets.delete(socket)
    if (principal !== undefined) this.#leave(principal)
  }
}

function checkOrigin(text: string): void {
  if (!URL.canParse(text) || new URL(text).origin !== text || text === 'null')
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      `"${text}" is not an origin: scheme, host and port only, such as https://shop.example.`,
    )
}
