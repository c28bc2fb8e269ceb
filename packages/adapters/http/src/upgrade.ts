import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { ConfigurationError, type AccessRequest, type Guard, type PeerChannel, type Refusal } from '@portcullis/core'
import type { Connection } from './connection.ts'
import type { Pipeline } from './pipeline.ts'
import { protocolAnswer, rawAnswer, refusalAnswer, type AnsweredCode } from './refuse.ts'
import { parseTarget } from './target.ts'

/** A request to speak another protocol on the connection (RFC 9110 section 7.8), of HTTP/1.1. Nobody has judged it yet. */
export interface UpgradeRequest {
  readonly request: IncomingMessage
  readonly socket: Duplex
  /** The first bytes of the other protocol, if some came along. */
  readonly head: Buffer
  readonly channel: PeerChannel
  /** The path without query, which has passed the same checks as that of any request. */
  readonly path: string
  /** The listener's own origin, for the comparison with a browser's `Origin` field. */
  readonly origin: string
  /** The request for the guard. `resource` is what the handler is registered for. */
  describe(resource: string, attributes?: Readonly<Record<string, unknown>>): AccessRequest
  /** Answers with the guard's refusal in HTTP's words and closes. */
  refuse(refusal: Refusal): void
}

/** Takes upgrades over. Of several registrations for one path and protocol the first has it. */
export interface UpgradeRegistration {
  /** The token of the `Upgrade` field, in lower case, such as `websocket`. */
  readonly protocol: string
  /** The exact path. */
  readonly path: string
  /** Must run the guard, then answer or refuse. What it throws or rejects with closes the connection. */
  upgrade(request: UpgradeRequest): void | Promise<void>
  /** Called when the listener stops, to end what was opened. */
  closing?(): void
}

/** The upgrades of a listener. What nobody registered for is refused, after the listener's guard has judged. */
export class Upgrades {
  readonly #registrations = new Set<UpgradeRegistration>()
  readonly #pipeline: Pipeline
  readonly #guard: Guard
  readonly #origin: () => string

  constructor(pipeline: Pipeline, guard: Guard, origin: () => string) {
    this.#pipeline = pipeline
    this.#guard = guard
    this.#origin = origin
  }

  add(registration: UpgradeRegistration): () => void {
    if (
      typeof registration.upgrade !== 'function' ||
      !registration.path?.startsWith('/') ||
      registration.protocol !== registration.protocol?.toLowerCase()
    ) {
      throw new ConfigurationError(
        'ERR_HTTP_ROUTE_INVALID',
        'onUpgrade needs `protocol` in lower case, `path` with its slash, and `upgrade`.',
      )
    }
    this.#registrations.add(registration)
    return () => void this.#registrations.delete(registration)
  }

  close(): void {
    for (const registration of this.#registrations) registration.closing?.()
  }

  /** Hands an upgrade to whoever registered for it; false if nobody did, and it was refused. */
  handle(request: IncomingMessage, socket: Duplex, head: Buffer, connection: Connection): boolean {
    // Node hands the socket over bare: an error of it is nobody's until a protocol has taken it.
    socket.on('error', destroyed)
    const target = parseTarget(request.url ?? '', Number.MAX_SAFE_INTEGER)
    const path = typeof target === 'string' ? '' : target.path
    const { rawHeaders, headers } = request
    const exchange = { method: request.method ?? '', target: request.url ?? '', rawHeaders, headers, connection }
    const fault = this.#pipeline.describe(exchange, path, {})
    if (typeof fault === 'string') return this.#answer(socket, fault, connection)
    const protocols = (request.headers.upgrade ?? '')
      .toLowerCase()
      .split(',')
      .map((text) => text.trim())
    const registration = [...this.#registrations].find((one) => one.path === path && protocols.includes(one.protocol))
    if (registration === undefined || request.method !== 'GET') return this.#answer(socket, 'ERR_HTTP_ROUTE_UNMATCHED', connection)
    const described: UpgradeRequest = {
      request,
      socket,
      head,
      channel: fault.channel as PeerChannel,
      path,
      origin: this.#origin(),
      describe: (resource, attributes = {}) => {
        const access = this.#pipeline.describe(exchange, resource, attributes)
        // It was describable a moment ago, from the same bytes.
        if (typeof access === 'string') throw new ConfigurationError('ERR_HTTP_ROUTE_INVALID', access)
        return access
      },
      refuse: (refusal) => void socket.end(rawAnswer(refusalAnswer(refusal)), () => socket.destroy()),
    }
    const taken = async (): Promise<void> => registration.upgrade(described)
    taken().catch((cause: unknown) => {
      this.#guard.report({ type: 'warning', protocol: 'https', code: 'ERR_HTTP_HANDLER_FAILED', cause })
      socket.destroy()
    })
    return true
  }

  #answer(socket: Duplex, code: AnsweredCode, { channel }: Connection): false {
    this.#guard.report({
      type: 'messageRefused',
      protocol: 'https',
      code,
      ...(channel.remoteAddress !== undefined && { remoteAddress: channel.remoteAddress }),
    })
    socket.end(rawAnswer(protocolAnswer(code)), () => socket.destroy())
    return false
  }
}

/** Closes over nothing: it stays with the socket as long as the other protocol does, and so would the request. */
function destroyed(this: Duplex): void {
  this.destroy()
}
