import {
  AuthSession,
  formatChallenges,
  type AccessRequest,
  type Anonymous,
  type Decision,
  type EndReason,
  type Guard,
  type Principal,
} from '@portcullis/core'
import { MessageType, type Server } from 'graphql-ws'
import type { WebSocket } from 'ws'
import type { Admission } from './admission.ts'
import { authorizationOf, describeWith } from './describe.ts'
import type { GraphqlErrorCode } from './errors.ts'
import { endings, refusals } from './refuse.ts'
import type { SocketLimits, SocketOptions } from './socket-transport.ts'
import type { Standing } from './standing.ts'

type Party = Principal | Anonymous

/** What all sockets of an endpoint share. */
export interface Shared {
  readonly guard: Guard
  readonly standing: Standing
  readonly protocol: Server<{ readonly socket: GuardedSocket }>
  readonly limits: Required<SocketLimits>
  readonly session: NonNullable<SocketOptions['session']>
  /** Counts a connection of the principal; false if there are too many. */
  admit(principal: Party): boolean
  proven(): void
  closed(socket: GuardedSocket, principal: Party | undefined, wasProven: boolean): void
}

/**
 * One connection of `graphql-transport-ws`: proven at the upgrade or by `connection_init`, and closed by its session.
 *
 * The protocol lets either side send a ping with a payload at any time. A listener's ping says that the session is about
 * to end (`{ expiring: <date> }`); a client's ping with `{ authorization: 'Bearer …' }` renews it, and the pong says what
 * became of that: `{ expiresAt: <date> }` or `{ refused: <code>, challenges: […] }`.
 */
export class GuardedSocket {
  readonly #wire: WebSocket
  readonly #access: AccessRequest
  readonly #shared: Shared
  #session: AuthSession<Party> | undefined
  #admission: Admission | undefined
  #current: AccessRequest
  #over = false
  #busy = false
  #heard = true

  constructor(wire: WebSocket, access: AccessRequest, shared: Shared) {
    this.#wire = wire
    this.#access = access
    this.#current = access
    this.#shared = shared
  }

  /** By whom operations are executed. */
  get admission(): Admission {
    if (this.#admission === undefined) throw new Error('An operation came before connection_init.')
    return this.#admission
  }

  /** Speaks the protocol from here on. */
  begin(principal: Party | undefined): void {
    const { protocol, limits, guard } = this.#shared
    const wire = this.#wire
    const timer = guard.clock.schedule(limits.initMs, () => {
      if (this.#admission === undefined) this.#fail('ERR_GRAPHQL_MESSAGE', 4408, 'Connection initialisation timeout')
    })
    wire.on('error', () => undefined)
    wire.on('pong', () => void (this.#heard = true))
    let deliver: (data: string) => Promise<void> = () => Promise.resolve()
    const closed = protocol.opened(
      {
        protocol: wire.protocol,
        send: (data) => this.#send(data),
        close: (code = 1000, reason = '') => this.#fail('ERR_GRAPHQL_MESSAGE', code, reason),
        onMessage: (callback) => void (deliver = callback),
        onPing: (payload) => this.#ping(payload),
      },
      { socket: this },
    )
    wire.on('message', (data: Buffer, isBinary: boolean) => {
      this.#heard = true
      if (this.#over) return
      if (isBinary) return this.#fail('ERR_GRAPHQL_MESSAGE', 4400, 'Invalid message received')
      deliver(data.toString()).catch((cause: unknown) => this.#fail('ERR_GRAPHQL_SOCKET_FAILED', 4500, 'Internal server error', cause))
    })
    wire.once('close', (code, reason) => {
      timer.cancel()
      this.#over = true
      const { principal: last } = this.#session ?? {}
      this.#session?.close()
      this.#shared.closed(this, last, this.#session !== undefined)
      void Promise.resolve(closed(code, String(reason))).catch(() => undefined)
    })
    if (principal !== undefined) this.#start(principal)
  }

  /** Judges `connection_init`; what it returns is the payload of the acknowledgement. */
  async initialised(payload: unknown): Promise<Record<string, unknown> | boolean> {
    const text = authorizationOf(payload)
    const { guard } = this.#shared
    if (text !== undefined || this.#session === undefined) {
      const access = text === undefined ? this.#access : describeWith(this.#access, text, false)
      // Beside a handshake that was proven it is a renewal: the same subject, or the end.
      const decision = this.#session === undefined ? await guard.decide(access) : await this.#session.reauthenticate(access)
      if (this.#over) return false
      if (decision.outcome !== 'allow') {
        this.#refuse(decision)
        return false
      }
      this.#current = access
      if (this.#session === undefined) {
        if (!this.#shared.admit(decision.principal)) {
          this.#fail('ERR_GRAPHQL_CONNECTIONS', 4429, 'Too many connections')
          return false
        }
        this.#shared.proven()
        this.#start(decision.principal)
      }
    }
    const session = this.#session
    if (session === undefined || session.ended !== undefined) return false
    this.#admission = { guard, standing: this.#shared.standing, access: this.#access, principal: () => session.principal, session }
    return { expiresAt: session.endsAt.toISOString() }
  }

  /** Asks whether the peer is there, and cuts one that has not answered since the last time. */
  beat(): void {
    if (!this.#heard) return this.#wire.terminate()
    this.#heard = false
    this.#wire.ping()
  }

  /** Ends it in the words of a reason. */
  end(reason: EndReason): void {
    if (this.#over) return
    this.#over = true
    const { close, text } = endings[reason]
    // What waits for a peer that is revoked is not delivered any more.
    if (reason === 'revoked' && this.#wire.bufferedAmount > 0) this.#wire.terminate()
    else this.#wire.close(close, text)
    this.#session?.close(reason === 'shutdown' ? 'shutdown' : 'closed')
  }

  #start(principal: Party): void {
    const { guard, session } = this.#shared
    const { channel } = this.#access
    const { remoteAddress } = channel as { readonly remoteAddress?: string }
    this.#session = new AuthSession<Party>({
      guard: guard, // What it proves is a Party in any case.
      principal,
      action: this.#access,
      protocol: 'wss',
      ...(remoteAddress !== undefined && { remoteAddress }),
      ...session,
      onWarning: (expiresAt) => void this.#send(JSON.stringify({ type: MessageType.Ping, payload: { expiring: expiresAt.toISOString() } })),
      onEnd: (reason) => this.end(reason),
    })
  }

  async #ping(payload: unknown): Promise<void> {
    const text = authorizationOf(payload)
    if (text === undefined) return this.#pong(payload)
    const session = this.#session
    // One attempt at a time: each may cost a signature, or a request to somebody.
    if (session === undefined || this.#admission === undefined || this.#busy)
      return this.#fail('ERR_GRAPHQL_MESSAGE', 4400, 'Unexpected renewal')
    this.#busy = true
    const access = describeWith(this.#current, text, true)
    const decision = await session.reauthenticate(access)
    this.#busy = false
    if (this.#over) return undefined
    if (decision.outcome !== 'allow') {
      const { reason, offers, advice } = decision
      return this.#pong({ refused: refusals[reason].code, challenges: formatChallenges(offers, reason, advice) })
    }
    this.#current = access
    return this.#pong({ expiresAt: session.endsAt.toISOString() })
  }

  #pong(payload: unknown): Promise<void> {
    return this.#send(JSON.stringify({ type: MessageType.Pong, ...(payload !== undefined && { payload }) }))
  }

  #send(data: string): Promise<void> {
    const wire = this.#wire
    // The session looks at the clock, so that nothing passes between expiry and its timer.
    if (this.#over || this.#session?.ended !== undefined || wire.readyState !== wire.OPEN) return Promise.resolve()
    if (wire.bufferedAmount > this.#shared.limits.maxUnreadBytes) {
      this.#report('ERR_GRAPHQL_UNREAD')
      wire.terminate()
      return Promise.resolve()
    }
    return new Promise((resolve) => wire.send(data, () => resolve()))
  }

  #refuse(decision: Exclude<Decision, { outcome: 'allow' }>): void {
    const { close, code } = refusals[decision.reason]
    if (this.#over) return
    this.#over = true
    this.#wire.close(close, close === 4401 ? 'Unauthorized' : close === 4403 ? 'Forbidden' : code)
    this.#session?.close()
  }

  #fail(code: GraphqlErrorCode, close: number, text: string, cause?: unknown): void {
    if (this.#over) return
    this.#over = true
    if (close !== 1000) this.#report(code, cause)
    this.#wire.close(close, text)
    this.#session?.close()
  }

  #report(code: GraphqlErrorCode, cause?: unknown): void {
    const { remoteAddress } = this.#access.channel as { readonly remoteAddress?: string }
    this.#shared.guard.report({
      type: cause === undefined ? 'messageRefused' : 'warning',
      protocol: 'wss',
      code,
      ...(this.#session !== undefined && { principal: this.#session.principal }),
      ...(remoteAddress !== undefined && { remoteAddress }),
      ...(cause !== undefined && { cause }),
    })
  }
}
