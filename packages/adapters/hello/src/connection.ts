import type { TLSSocket } from 'node:tls'

import {
  AuthSession,
  parseAuthorization,
  sameSubject,
  type AccessRequest,
  type Anonymous,
  type Credential,
  type Decision,
  type EndReason,
  type Guard,
  type PeerChannel,
  type Principal,
  type Timer,
} from '@portcullis/core'
import type { ServerTlsBundle } from '@portcullis/tls'

import { channelOf, describe } from './describe.ts'
import { linesOf, wordsOf } from './lines.ts'
import type { Operation } from './listener.ts'
import { end, refusalWords, refuse } from './refuse.ts'

type Party = Principal | Anonymous

/** What a {@link Connection} is made of. */
export interface ConnectionOptions {
  readonly socket: TLSSocket
  readonly tls: ServerTlsBundle
  readonly guard: Guard
  readonly operations: ReadonlyMap<string, Operation<Party>>
}

// A client proves itself in one round trip; ten seconds are a very bad line.
const unprovenMs = 10_000
// What a peer does not read is kept in memory; more than this, and it is cut off.
const maxUnreadBytes = 1024 * 1024
// A client of this protocol follows a handful of things.
const maxFollowed = 16
// How long a peer may take to read its last word.
const lastWordMs = 1_000

/** One connection: its credentials, its session, and what it follows. Lines are taken one after another. */
export class Connection {
  readonly #options: ConnectionOptions
  readonly #followed = new Map<string, () => void>()
  readonly #deadline: Timer
  #channel: PeerChannel | undefined
  #credentials: readonly Credential[] = []
  #session: AuthSession<Party> | undefined
  #ended = false

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#deadline = options.guard.clock.schedule(unprovenMs, () => this.end('closed'))
    options.socket.on('error', () => undefined)
    options.socket.once('close', () => this.end('closed'))
  }

  /** Takes lines until either side ends it. */
  async run(): Promise<void> {
    try {
      this.#channel = channelOf(this.#options.socket, this.#options.tls)
      for await (const line of linesOf(this.#options.socket)) {
        const [action, rest] = wordsOf(line)
        if (!this.#ended) await (action === 'AUTH' ? this.#authenticate(rest) : this.#request(action, rest))
      }
    } catch {
      // The socket failed, its certificate does not hold any more, or a line was too long: nobody is there to be told more.
    } finally {
      this.end('closed')
    }
  }

  /** Says the last word, once, and hangs up. The session, if there is one, ends with it. */
  end(reason: EndReason): void {
    if (this.#ended) return
    this.#ended = true
    this.#deadline.cancel()
    for (const stop of this.#followed.values()) stop()
    this.#followed.clear()
    this.#session?.close(reason === 'shutdown' ? 'shutdown' : 'closed')
    const { socket } = this.#options
    socket.end(`${end(reason)}\n`)
    const timer = setTimeout(() => socket.destroy(), lastWordMs)
    socket.once('close', () => clearTimeout(timer))
    socket.resume()
  }

  async #authenticate(value: string): Promise<void> {
    const credentials = value === '' ? [] : [parseAuthorization(value)]
    const request = this.#describe(credentials, 'AUTH', '')
    const decision = await (this.#session?.reauthenticate(request) ?? this.#options.guard.decide(request))
    if (this.#ended) return
    if (decision.outcome !== 'allow') return this.#send(refuse(decision))
    this.#credentials = credentials
    this.#hold(decision.principal, request, this.#options.guard)
    return this.#send('OK')
  }

  async #request(action: string, resource: string): Promise<void> {
    const request = this.#describe(this.#credentials, action, resource)
    const operation = this.#options.operations.get(`${action} ${resource}`)
    const guard: Guard = operation?.guard ?? this.#options.guard
    const decision: Decision = await guard.decide(request)
    if (this.#ended) return
    if (decision.outcome !== 'allow') return this.#send(refuse(decision))
    // Only who may come in at all is told what there is.
    if (operation === undefined) return this.#send('REFUSED unknown')
    if (!this.#hold(decision.principal, request, guard)) return this.#send(`REFUSED ${refusalWords.forbidden}`)
    try {
      if (operation.follow !== undefined) return this.#follow(operation, guard, request, decision.principal)
      const text = await operation.answer(decision.principal)
      return this.#send(`OK ${JSON.stringify(text)}`)
    } catch (cause) {
      guard.report({
        type: 'warning',
        protocol: 'hello',
        code: 'ERR_INTERNAL',
        message: `The operation "${action} ${resource}" failed.`,
        cause,
      })
      return this.#send(`REFUSED ${refusalWords.internal}`)
    }
  }

  #follow(
    operation: Extract<Operation<Party>, { follow: unknown }>,
    guard: Guard,
    { action, resource, attributes }: AccessRequest,
    principal: Party,
  ): void {
    if (this.#followed.has(resource)) return this.#send('OK')
    if (this.#followed.size >= maxFollowed) return this.#send(`REFUSED ${refusalWords.overload}`)
    const stop = operation.follow(principal, (text) => this.#send(`NEWS ${resource} ${JSON.stringify(text)}`))
    // Judged again whenever the rights of the session change.
    const unwatch = this.#session?.watch({
      guard,
      action: { action, resource, attributes },
      onEnd: ({ reason }) => {
        this.#followed.get(resource)?.()
        this.#followed.delete(resource)
        this.#send(`END ${resource} ${refusalWords[reason]}`)
      },
    })
    this.#followed.set(resource, () => {
      unwatch?.()
      stop()
    })
    this.#send('OK')
  }

  /** Begins the session with the first principal; later ones must be the same: a connection has one subject. */
  #hold(principal: Party, { action, resource, attributes }: AccessRequest, guard: Guard): boolean {
    if (principal.kind !== 'principal') return true
    if (this.#session !== undefined) return this.#session.principal.kind === 'principal' && sameSubject(this.#session.principal, principal)
    this.#deadline.cancel()
    this.#session = new AuthSession<Party>({
      guard,
      principal,
      action: { action, resource, attributes },
      protocol: 'hello',
      onWarning: (expiresAt) => this.#send(`WARN ${Math.ceil((expiresAt.getTime() - guard.clock.now()) / 1000)}`),
      onEnd: (reason) => this.end(reason),
    })
    return true
  }

  #describe(credentials: readonly Credential[], action: string, resource: string): AccessRequest {
    if (this.#channel === undefined) throw new Error('The connection does not run.')
    return describe(this.#channel, credentials, action, resource)
  }

  /** Writes a line, unless the session is over by now: its clock is looked at before anything is delivered. */
  #send(line: string): void {
    if (this.#ended || this.#session?.ended !== undefined) return
    this.#options.socket.write(`${line}\n`)
    if (this.#options.socket.writableLength > maxUnreadBytes) this.#options.socket.destroy()
  }
}
