import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import {
  checkOptions,
  ConfigurationError,
  requireNumber,
  requireTexts,
  type AccessRequest,
  type Anonymous,
  type Decision,
  type Guard,
  type Principal,
} from '@portcullis/core'
import type { Listener, UpgradeRequest } from '@portcullis/http'
import type { ExecutionArgs } from 'graphql'
import { handleProtocols, makeServer, type Server } from 'graphql-ws'
import { WebSocketServer, type ServerOptions, type WebSocket } from 'ws'
import { anyOrigin } from './danger.ts'
import type { GraphqlErrorCode } from './errors.ts'
import { operationOf, type Enveloped, type Runner } from './socket-operation.ts'
import { GuardedSocket, type Shared } from './socket.ts'
import type { Standing } from './standing.ts'

type Party = Principal | Anonymous

/** WebSockets of an endpoint. */
export interface SocketOptions {
  /** Origins whose pages may connect, besides the listener's own: a browser connects for any page, and adds cookies and certificates by itself. */
  readonly origins?: readonly string[] | typeof anyOrigin
  /** How long sessions last; as in core's `AuthSessionOptions`. */
  readonly session?: { readonly maxSessionMs?: number; readonly warnBeforeMs?: number; readonly graceMs?: number }
  readonly limits?: SocketLimits
}

/** What one peer, or all of them, may take. */
export interface SocketLimits {
  /** The longest message, in bytes. Default: 100,000: an operation and its variables; content of that size belongs into a request. */
  readonly maxMessageBytes?: number
  /** Operations at a time on one connection. Default: 100: what a busy page subscribes to, several times over. */
  readonly maxOperations?: number
  /** Connections of one principal. Default: 100: some devices with some tabs each. */
  readonly maxConnectionsPerPrincipal?: number
  /** Connections at a time that have not proven themselves by `connection_init`. Default: 100. */
  readonly maxUnproven?: number
  /** Until `connection_init`, in milliseconds. Default: 10,000. */
  readonly initMs?: number
  /** A peer from which nothing has come for so long, not even the answer to a ping, is cut. In milliseconds; default: 60,000. */
  readonly idleMs?: number
  /** What may wait for a peer that does not read, in bytes. Default: 1,048,576. */
  readonly maxUnreadBytes?: number
}

const defaults: Required<SocketLimits> = Object.freeze({
  maxMessageBytes: 100_000,
  maxOperations: 100,
  maxConnectionsPerPrincipal: 100,
  maxUnproven: 100,
  initMs: 10_000,
  idleMs: 60_000,
  maxUnreadBytes: 1_048_576,
})

/** What the transport needs of its endpoint. */
export interface TransportSetup {
  readonly guard: Guard
  readonly path: string
  readonly standing: Standing
  readonly enveloped: (context: object) => Enveloped
}

/** `graphql-transport-ws` on the upgrades of a listener. */
export class SocketTransport {
  readonly #setup: TransportSetup
  readonly #origins: ReadonlySet<string> | typeof anyOrigin
  readonly #limits: Required<SocketLimits>
  readonly #shared: Shared
  readonly #library: WebSocketServer
  readonly #sockets = new Set<GuardedSocket>()
  readonly #connections = new Map<string, number>()
  #unproven = 0

  constructor(setup: TransportSetup, options: SocketOptions) {
    checkOptions<SocketOptions>('graphql sockets', options, { origins: true, session: true, limits: true })
    const { origins = [], session = {}, limits = {} } = options
    checkOptions<NonNullable<SocketOptions['session']>>('graphql sockets session', session, {
      maxSessionMs: true,
      warnBeforeMs: true,
      graceMs: true,
    })
    if (origins !== anyOrigin && Object.hasOwn(options, 'origins')) requireTexts('graphql sockets origins', origins).forEach(checkOrigin)
    this.#origins = origins === anyOrigin ? anyOrigin : new Set(origins)
    this.#limits = resolved(limits)
    this.#setup = setup
    const runners = new WeakMap<object, Runner>()
    const protocol: Server<{ readonly socket: GuardedSocket }> = makeServer<Record<string, unknown>, { readonly socket: GuardedSocket }>({
      // Ours, which looks at the injected clock and reports.
      connectionInitWaitTimeout: 0,
      onConnect: ({ extra, connectionParams }) => extra.socket.initialised(connectionParams),
      onSubscribe: ({ extra, subscriptions }, _id, payload) =>
        operationOf(
          setup.enveloped,
          extra.socket.admission,
          payload,
          runners,
          Object.keys(subscriptions).length > this.#limits.maxOperations,
        ),
      execute: (args) => runnerOf(runners, args).execute(args) as never,
      subscribe: (args) => runnerOf(runners, args).subscribe(args) as never,
    })
    this.#shared = {
      guard: setup.guard,
      standing: setup.standing,
      protocol,
      limits: this.#limits,
      session,
      admit: (principal) => this.#admit(principal),
      proven: () => void this.#unproven--,
      closed: (socket, principal, wasProven) => {
        this.#sockets.delete(socket)
        if (!wasProven) this.#unproven--
        else if (principal !== undefined) this.#leave(principal)
      },
    }
    const settings: ServerOptions & { readonly closeTimeout: number } = {
      noServer: true,
      clientTracking: false,
      maxPayload: this.#limits.maxMessageBytes,
      // Compression before encryption tells secrets by length (CRIME).
      perMessageDeflate: false,
      handleProtocols,
      // Revocation is over within a second, also for a peer that does not answer a close.
      closeTimeout: 1_000,
    }
    this.#library = new WebSocketServer(settings)
  }

  attach(server: Listener): () => void {
    const own = new URL(server.origin).origin
    const beat = setInterval(() => {
      for (const socket of this.#sockets) socket.beat()
    }, this.#limits.idleMs / 2).unref()
    const end = (): void => {
      clearInterval(beat)
      for (const socket of this.#sockets) socket.end('shutdown')
    }
    const detach = server.onUpgrade({
      protocol: 'websocket',
      path: this.#setup.path,
      upgrade: (upgrade) => this.#upgrade(upgrade, own),
      closing: end,
    })
    return () => {
      detach()
      end()
    }
  }

  async #upgrade(upgrade: UpgradeRequest, own: string): Promise<void> {
    const { guard, path } = this.#setup
    const from = originsOf(upgrade.request)
    if (!from.every((origin) => this.#origins === anyOrigin || origin === own || this.#origins.has(origin)))
      return this.#refuse(upgrade, 'ERR_GRAPHQL_ORIGIN', '403 Forbidden')
    const described = upgrade.describe(path)
    const access: AccessRequest = {
      credentials: described.credentials,
      action: described.action,
      resource: path,
      attributes: described.attributes,
      channel: { ...upgrade.channel, protocol: 'wss' },
      ...(described.binding && { binding: described.binding }),
    }
    // A cookie goes along whoever asks, and only an origin that is known says who did.
    const brings = access.credentials.some(({ carrier }) => carrier.startsWith('cookie:'))
    if (brings && (from.length === 0 || (this.#origins === anyOrigin && !from.includes(own))))
      return this.#refuse(upgrade, 'ERR_GRAPHQL_ORIGIN', '403 Forbidden')
    const decision = await guard.decide(access)
    if (upgrade.socket.destroyed) return
    const awaits = decision.outcome !== 'allow' && decision.reason === 'missing' && access.credentials.length === 0
    if (decision.outcome !== 'allow' && !awaits) return upgrade.refuse(decision)
    if (awaits && this.#unproven >= this.#limits.maxUnproven)
      return this.#refuse(upgrade, 'ERR_GRAPHQL_UNPROVEN', '503 Service Unavailable')
    if (decision.outcome === 'allow' && !this.#admit(decision.principal))
      return this.#refuse(upgrade, 'ERR_GRAPHQL_CONNECTIONS', '429 Too Many Requests')
    this.#open(upgrade, access, decision)
  }

  #open({ request, socket, head }: UpgradeRequest, access: AccessRequest, decision: Decision): void {
    let opened = false
    this.#library.handleUpgrade(request, socket, head, (wire: WebSocket) => {
      opened = true
      if (decision.outcome !== 'allow') this.#unproven++
      const guarded = new GuardedSocket(wire, access, this.#shared)
      this.#sockets.add(guarded)
      guarded.begin(decision.outcome === 'allow' ? decision.principal : undefined)
    })
    // No handshake of a WebSocket; the library has answered.
    if (!opened && decision.outcome === 'allow') this.#leave(decision.principal)
  }

  #refuse(
    { socket, channel }: { readonly socket: Duplex; readonly channel: UpgradeRequest['channel'] },
    code: GraphqlErrorCode,
    status: string,
  ): void {
    this.#setup.guard.report({
      type: 'handshakeRefused',
      protocol: 'wss',
      code,
      ...(channel.remoteAddress !== undefined && { remoteAddress: channel.remoteAddress }),
    })
    socket.end(`HTTP/1.1 ${status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`, () => socket.destroy())
  }

  #admit(principal: Party): boolean {
    if (principal.kind === 'anonymous') return true
    const key = keyOf(principal)
    const count = this.#connections.get(key) ?? 0
    if (count >= this.#limits.maxConnectionsPerPrincipal) return false
    this.#connections.set(key, count + 1)
    return true
  }

  #leave(principal: Party): void {
    if (principal.kind === 'anonymous') return
    const key = keyOf(principal)
    const count = this.#connections.get(key) ?? 0
    if (count > 1) this.#connections.set(key, count - 1)
    else this.#connections.delete(key)
  }
}

function runnerOf(runners: WeakMap<object, Runner>, { contextValue }: ExecutionArgs): Runner {
  const runner = runners.get(contextValue as object)
  if (runner === undefined) throw new ConfigurationError('ERR_GUARD_NOT_RUN', 'An operation was executed that was not prepared.')
  return runner
}

function resolved(limits: SocketLimits): Required<SocketLimits> {
  checkOptions<SocketLimits>('graphql sockets limits', limits, {
    maxMessageBytes: true,
    maxOperations: true,
    maxConnectionsPerPrincipal: true,
    maxUnproven: true,
    initMs: true,
    idleMs: true,
    maxUnreadBytes: true,
  })
  const all = { ...defaults, ...limits }
  for (const name of Object.keys(defaults) as (keyof SocketLimits)[])
    requireNumber(`graphql sockets limits.${name}`, all[name], { min: name === 'idleMs' ? 10 : 1, max: 2 ** 30 })
  return all
}

/** Equal only together; the length keeps two pairs from meeting in one text. */
function keyOf({ issuer, subject }: Principal): string {
  return `${issuer.length} ${issuer}${subject}`
}

/** The origins of the page that asks; empty for clients that are no browsers. Version 8 has a name of its own for it. */
function originsOf({ headers }: IncomingMessage): readonly string[] {
  return [headers.origin, headers['sec-websocket-origin']].filter((value) => typeof value === 'string')
}

function checkOrigin(text: string): void {
  if (!URL.canParse(text) || new URL(text).origin !== text || text === 'null')
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      `"${text}" is not an origin: scheme, host and port only, such as https://shop.example.`,
    )
}
