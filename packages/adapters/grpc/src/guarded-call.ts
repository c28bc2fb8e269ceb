import { Metadata, status, type ServerInterceptingCallInterface } from '@grpc/grpc-js'
import {
  AuthSession,
  type AccessRequest,
  type Advice,
  type Anonymous,
  type Decision,
  type EndReason,
  type Guard,
  type Principal,
  type RequestBinding,
} from '@portcullis/core'
import type { Connection } from './connection.ts'
import { credentialsOf, describe, withoutCredentials, type Carriers, type MethodFacts } from './describe.ts'
import type { GrpcErrorCode } from './errors.ts'
import { remember } from './principal.ts'
import { acknowledge, end, refusals, refuse } from './refuse.ts'
import { isRenewal, isStreamName, renewalKey, streamNameIn } from './renewal.ts'

type Party = Principal | Anonymous
type Listener = Parameters<ServerInterceptingCallInterface['start']>[0]
type FinalStatus = Parameters<ServerInterceptingCallInterface['sendStatus']>[0]

/** A method as the listener has it. */
export interface Route {
  readonly path: string
  readonly guard: Guard
  readonly facts: MethodFacts
  /** It has a stream in at least one direction, so it may outlive its credential. */
  readonly streams: boolean
}

/** What all calls of a listener share. */
export interface CallSettings {
  readonly carriers: Carriers
  readonly maxSessionMs: number | undefined
  readonly graceMs: number | undefined
}

// Nobody to expire: as long as a session may be at all.
const anonymousSessionMs = 366 * 86_400_000

/**
 * One call on its way through the guard, as the library's interceptor and as its listener: nothing of the call reaches
 * the handler, and nothing of the handler the peer, but through here.
 */
export class GuardedCall implements ServerInterceptingCallInterface, Listener {
  readonly #call: ServerInterceptingCallInterface
  readonly #route: Route
  readonly #connection: Connection
  readonly #settings: CallSettings
  #listener: Listener | undefined
  #session: AuthSession<Party> | undefined
  #metadata: Metadata | undefined
  #name: string | undefined
  #advice: Advice | undefined
  #over = false
  #lastWordTaken: (() => void) | undefined

  constructor(call: ServerInterceptingCallInterface, route: Route, connection: Connection, settings: CallSettings) {
    this.#call = call
    this.#route = route
    this.#connection = connection
    this.#settings = settings
  }

  start(listener: Listener): void {
    this.#listener = listener
    this.#call.start(this)
  }

  onReceiveMetadata(metadata: Metadata): void {
    if (isRenewal(this.#route.path)) void this.#takeRenewal(metadata)
    else this.#judge(metadata)
  }

  onReceiveMessage(message: unknown): void {
    if (this.#delivers()) this.#listener?.onReceiveMessage(message)
  }

  onReceiveHalfClose(): void {
    if (this.#delivers()) this.#listener?.onReceiveHalfClose()
  }

  /** The library says that the call is over, in whatever way. */
  onCancel(): void {
    this.#lastWordTaken?.()
    // Whose session has ended was told so then.
    const told = this.#lastWordTaken !== undefined
    this.#over = true
    this.#session?.close()
    this.#forget()
    if (!told) this.#listener?.onCancel()
  }

  sendMetadata(metadata: Metadata): void {
    if (this.#delivers()) this.#call.sendMetadata(metadata)
  }

  sendMessage(message: unknown, callback: () => void): void {
    // What is not delivered any more must not keep its writer waiting.
    if (this.#delivers()) this.#call.sendMessage(message, callback)
    else callback()
  }

  sendStatus(final: FinalStatus): void {
    if (!this.#delivers()) return
    this.#over = true
    this.#session?.close()
    this.#call.sendStatus(this.#worded(final))
  }

  startRead(): void {
    this.#call.startRead()
  }

  getPeer(): string {
    return this.#call.getPeer()
  }

  getDeadline(): ReturnType<ServerInterceptingCallInterface['getDeadline']> {
    return this.#call.getDeadline()
  }

  getHost(): string {
    return this.#call.getHost()
  }

  getAuthContext(): ReturnType<ServerInterceptingCallInterface['getAuthContext']> {
    return this.#call.getAuthContext()
  }

  getConnectionInfo(): ReturnType<ServerInterceptingCallInterface['getConnectionInfo']> {
    return this.#call.getConnectionInfo()
  }

  getMetricsRecorder(): ReturnType<ServerInterceptingCallInterface['getMetricsRecorder']> {
    return this.#call.getMetricsRecorder()
  }

  /** Takes the credentials of a renewal for this stream: its own request once more, with them. */
  async renew(metadata: Metadata, binding: RequestBinding): Promise<Decision<Party> | undefined> {
    if (this.#session === undefined || this.#metadata === undefined) return undefined
    // A proof covers the address that it was sent to, which is the renewal's.
    const facts = { ...this.#route.facts, binding }
    const decision = await this.#session.reauthenticate(
      describe(facts, this.#connection.channel, credentialsOf(metadata, this.#settings.carriers, this.#connection.credentials)),
    )
    if (this.#session.ended !== undefined) return undefined
    if (decision.outcome === 'allow') remember(this.#route.guard, this.#metadata, decision.principal)
    return decision
  }

  /** Ends the stream since the listener stops. */
  shutDown(): void {
    this.#session?.close('shutdown')
  }

  #judge(metadata: Metadata): void {
    const { guard, facts } = this.#route
    let request: AccessRequest
    try {
      request = describe(facts, this.#connection.channel, credentialsOf(metadata, this.#settings.carriers, this.#connection.credentials))
    } catch {
      // The certificate does not hold any more; the bundle has told its subscribers why.
      return this.#refuse({ ...refusals.invalid })
    }
    const decision = guard.decide(request)
    if (decision instanceof Promise) decision.then((made) => this.#proceed(made, request, metadata)).catch(this.#failed)
    else this.#proceed(decision, request, metadata)
  }

  #proceed(decision: Decision<Party>, request: AccessRequest, metadata: Metadata): void {
    if (this.#over) return
    this.#advice = decision.advice
    if (decision.outcome !== 'allow') return this.#refuse(refuse(decision))
    const { guard, streams } = this.#route
    if (streams && !this.#hold(decision.principal, request, metadata)) return
    const passed = withoutCredentials(metadata, this.#settings.carriers)
    remember(guard, passed, decision.principal)
    this.#listener?.onReceiveMetadata(passed)
  }

  /** Begins the session of a stream; false if it ended at once, or its name is taken. */
  #hold(principal: Party, request: AccessRequest, metadata: Metadata): boolean {
    const { named, streams } = this.#connection
    const name = streamNameIn(metadata)
    if (name !== undefined && (!isStreamName(name) || named.has(name))) {
      this.#refuse({ code: status.INVALID_ARGUMENT, details: `"${renewalKey}" must be a name that no other stream has.` })
      return false
    }
    const { guard } = this.#route
    const { graceMs } = this.#settings
    const maxSessionMs = principal.kind === 'anonymous' ? anonymousSessionMs : this.#settings.maxSessionMs
    const { action, resource, attributes, channel } = request
    this.#metadata = metadata
    const session = new AuthSession<Party>({
      guard,
      principal,
      // Without the credentials: a stream may live long, and needs them no more.
      action: { action, resource, attributes },
      protocol: 'grpc',
      onEnd: (reason) => this.#end(reason),
      ...(channel.from === 'peer' && channel.remoteAddress !== undefined && { remoteAddress: channel.remoteAddress }),
      ...(maxSessionMs !== undefined && { maxSessionMs }),
      ...(graceMs !== undefined && { graceMs }),
    })
    if (session.ended !== undefined) return false
    this.#session = session
    streams.add(this)
    if (name !== undefined) {
      this.#name = name
      named.set(name, this)
    }
    metadata.remove(renewalKey)
    return true
  }

  async #takeRenewal(metadata: Metadata): Promise<void> {
    try {
      const name = streamNameIn(metadata)
      const stream = name === undefined ? undefined : this.#connection.named.get(name)
      if (stream === undefined) return this.#refuse({ code: status.NOT_FOUND, details: 'There is no such stream on this connection.' })
      const decision = await stream.renew(metadata, this.#route.facts.binding)
      if (this.#over) return
      this.#advice = decision?.advice
      if (decision === undefined) return this.#refuse({ code: status.UNAUTHENTICATED, details: 'The stream has ended.' })
      if (decision.outcome !== 'allow') return this.#refuse(refuse(decision))
      this.#listener?.onReceiveMetadata(withoutCredentials(metadata, this.#settings.carriers))
    } catch (cause) {
      this.#failed(cause)
    }
  }

  readonly #failed = (cause: unknown): void => {
    this.#route.guard.report({ type: 'warning', protocol: 'grpc', code: 'ERR_INTERNAL', cause })
    this.#refuse({ ...refusals.internal })
  }

  #refuse(final: FinalStatus): void {
    if (this.#over) return
    this.#over = true
    this.#call.sendStatus(final)
  }

  /** Whether something may pass, either way: its session's clock is looked at before anything is delivered. */
  #delivers(): boolean {
    return !this.#over && this.#session?.ended === undefined
  }

  #end(reason: EndReason): void {
    if (this.#over) return
    this.#over = true
    this.#call.sendStatus(end(reason, this.#route.guard))
    this.#lastWordTaken = this.#connection.awaitLastWord(this.#route.guard.clock)
    this.#forget()
    this.#listener?.onCancel()
  }

  #forget(): void {
    this.#connection.streams.delete(this)
    if (this.#name !== undefined) this.#connection.named.delete(this.#name)
  }

  /** UNKNOWN is what the library makes of an error without a code, with its message: nothing for a peer to read. */
  #worded(final: FinalStatus): FinalStatus {
    if (final.code === status.UNKNOWN) {
      this.#route.guard.report({
        type: 'warning',
        protocol: 'grpc',
        code: 'ERR_GRPC_HANDLER' satisfies GrpcErrorCode,
        message: `${this.#route.path}: ${final.details}`,
      })
      return { ...refusals.internal, metadata: final.metadata ?? null }
    }
    if (this.#advice === undefined) return final
    return { ...final, metadata: acknowledge(final.metadata?.clone() ?? new Metadata(), this.#advice) }
  }
}
