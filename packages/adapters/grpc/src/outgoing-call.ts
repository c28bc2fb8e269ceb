import { Metadata, status, type InterceptingCall, type InterceptorOptions, type NextCall, type StatusObject } from '@grpc/grpc-js'
import {
  ConfigurationError,
  isExhausted,
  isPrincipal,
  isSecurityError,
  sameCredential,
  type AnySource,
  type Clock,
  type Credential,
  type ErrorFamily,
  type Principal,
  type Supplied,
  type Target,
} from '@portcullis/core'
import { randomBytes } from 'node:crypto'
import type { GrpcErrorCode } from './errors.ts'
import { heed, present } from './present.ts'
import { keepRenewed } from './keep-renewed.ts'
import { renewalKey } from './renewal.ts'

type Call = ConstructorParameters<typeof InterceptingCall>[0]
type CallListener = NonNullable<Parameters<Call['start']>[1]>
type Context = Parameters<Call['sendMessageWithContext']>[0]

/** Where a call's options name the caller on whose behalf it is made. */
export const callerKey: unique symbol = Symbol.for('portcullis.grpc.caller') as never

/** What all calls of a client share. */
export interface OutgoingSettings {
  readonly source: AnySource
  readonly target: Target
  readonly timeoutMs: number
  readonly clock: Clock
  /** Calls the renewal on the channel of the client; resolves with its status. */
  readonly renew: (metadata: Metadata) => Promise<StatusObject>
}

// What the application is told of a failure before anything was sent.
const statusOf: Readonly<Record<ErrorFamily, status>> = {
  authentication: status.UNAUTHENTICATED,
  authorization: status.PERMISSION_DENIED,
  unavailable: status.UNAVAILABLE,
  configuration: status.FAILED_PRECONDITION,
}

/**
 * One call of a client: it begins when its credential is there, and begins again, once and with another, if that is
 * refused, nothing was answered, and all that was sent can be sent again.
 */
export class OutgoingCall implements Call {
  readonly #settings: OutgoingSettings
  readonly #options: InterceptorOptions
  readonly #next: NextCall
  readonly #repeatable: boolean
  readonly #live: boolean
  readonly #stop = new AbortController()
  #operations: ((call: Call) => void)[] = []
  #call: Call | undefined
  #listener: CallListener = {}
  #metadata = new Metadata()
  #credential: Credential | undefined
  #answered = false
  #over = false
  #deadline: NodeJS.Timeout | undefined
  #endRenewal: (() => void) | undefined

  constructor(settings: OutgoingSettings, options: InterceptorOptions, next: NextCall) {
    const { requestStream, responseStream } = options.method_definition
    this.#settings = settings
    this.#next = next
    this.#repeatable = !requestStream
    this.#live = requestStream || responseStream
    // A stream may last; a call with one answer must not wait for ever.
    this.#options = this.#live || options.deadline !== undefined ? options : { ...options, deadline: Date.now() + settings.timeoutMs }
  }

  start(metadata: Metadata, listener: Partial<CallListener> = {}): void {
    this.#metadata = metadata
    this.#listener = listener
    if (metadata.get('authorization').length > 0)
      return this.#fail(
        new ConfigurationError<GrpcErrorCode>(
          'ERR_GRPC_CREDENTIAL_CONFLICT',
          'This client has a credential source; a call must not bring authorization metadata of its own.',
        ),
      )
    this.#watchDeadline()
    return this.#supply(
      undefined,
      (supplied) => this.#begin(supplied),
      (error) => this.#fail(error),
    )
  }

  sendMessage(message: unknown): void {
    this.sendMessageWithContext({}, message)
  }

  sendMessageWithContext(context: Context, message: unknown): void {
    this.#do((call) => call.sendMessageWithContext(context, message))
  }

  startRead(): void {
    this.#do((call) => call.startRead())
  }

  halfClose(): void {
    this.#do((call) => call.halfClose())
  }

  cancelWithStatus(code: status, details: string): void {
    if (this.#call !== undefined) return this.#call.cancelWithStatus(code, details)
    return this.#finish({ code, details, metadata: new Metadata() })
  }

  getPeer(): string {
    return this.#call?.getPeer() ?? this.#settings.target.origin
  }

  getAuthContext(): ReturnType<Call['getAuthContext']> {
    return this.#call?.getAuthContext() ?? null
  }

  /** Does it now, or once there is a call; what may have to be repeated is remembered. */
  #do(operation: (call: Call) => void): void {
    if (this.#call === undefined || (this.#repeatable && !this.#answered)) this.#operations.push(operation)
    if (this.#call !== undefined) operation(this.#call)
  }

  #begin({ credential, expiresAt }: Supplied): void {
    if (this.#over) return
    this.#credential = credential
    const metadata = this.#metadata.clone()
    present(metadata, credential)
    const name = this.#live ? randomBytes(16).toString('base64url') : undefined
    if (name !== undefined) metadata.set(renewalKey, name)
    const call = this.#next(this.#options)
    this.#call = call
    call.start(metadata, {
      onReceiveMetadata: (received) => {
        this.#answer()
        this.#listener.onReceiveMetadata?.(received)
      },
      onReceiveMessage: (message: unknown) => {
        // The library's null says that a call with one answer had none.
        if (message === null) return
        this.#answer()
        this.#listener.onReceiveMessage?.(message)
      },
      onReceiveStatus: (final) => this.#settle(final),
    })
    const waiting = this.#operations
    if (!this.#repeatable) this.#operations = []
    for (const operation of waiting) operation(call)
    if (name === undefined || expiresAt === undefined) return
    this.#endRenewal = keepRenewed({ ...this.#settings, name, credential, expiresAt, supply: (refused) => this.#ask(refused) })
  }

  #answer(): void {
    this.#answered = true
    this.#operations = []
  }

  #settle(final: StatusObject): void {
    const credential = this.#credential
    if (this.#answered || !this.#repeatable || credential === undefined || heed(final) === 'settled') return this.#finish(final)
    // Whatever comes of it, there is no third time.
    this.#answered = true
    this.#endRenewal?.()
    this.#call = undefined
    return this.#supply(
      credential,
      (supplied) => (sameCredential(supplied.credential, credential) ? this.#finish(final) : this.#begin(supplied)),
      (error) => (isExhausted(error) ? this.#finish(final) : this.#fail(error)),
    )
  }

  #supply(refused: Credential | undefined, use: (supplied: Supplied) => void, failed: (error: unknown) => void): void {
    const begin = (supplied: Supplied): void => {
      try {
        use(supplied)
      } catch (error) {
        failed(error)
      }
    }
    try {
      const supplied = this.#ask(refused)
      if (supplied instanceof Promise) supplied.then(begin, failed)
      else begin(supplied)
    } catch (error) {
      failed(error)
    }
  }

  #ask(refused: Credential | undefined): Supplied | Promise<Supplied> {
    const { source, target } = this.#settings
    const caller = (this.#options as { readonly [callerKey]?: Principal })[callerKey]
    const request = {
      target,
      signal: this.#stop.signal,
      binding: { method: 'POST', uri: target.origin + this.#options.method_definition.path },
      ...(refused !== undefined && { refused }),
      ...(caller !== undefined && { onBehalfOf: caller }),
    }
    // Generated stubs cannot demand a caller; without one a delegated source refuses.
    return source(request as Parameters<AnySource>[0])
  }

  /** The library keeps the deadline of a call that has begun; this keeps it until then. */
  #watchDeadline(): void {
    const { deadline } = this.#options
    if (deadline === undefined || Number(deadline) === Infinity) return
    const expire = (): void => {
      if (this.#call === undefined)
        this.#finish({
          code: status.DEADLINE_EXCEEDED,
          details: 'Deadline exceeded before a credential was there.',
          metadata: new Metadata(),
        })
    }
    // A delay beyond 2^31 ms would fire at once.
    this.#deadline = setTimeout(expire, Math.min(Math.max(0, Number(deadline) - Date.now()), 2 ** 31 - 1)).unref()
  }

  #fail(cause: unknown): void {
    const code = isSecurityError(cause) ? statusOf[cause.family] : status.INTERNAL
    const details = cause instanceof Error ? cause.message : 'The credential source failed.'
    // The library makes an error of it and keeps what it does not know.
    const final: StatusObject & { readonly cause: unknown } = { code, details, metadata: new Metadata(), cause }
    // Its callers are called back, never from within their call.
    setImmediate(() => this.#finish(final))
  }

  #finish(final: StatusObject): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#deadline)
    this.#endRenewal?.()
    this.#stop.abort()
    this.#operations = []
    this.#listener.onReceiveStatus?.(final)
  }
}

/** Whose call it is; see `onBehalfOf`. */
export function requireCaller(caller: Principal): Principal {
  if (!isPrincipal(caller))
    throw new ConfigurationError<GrpcErrorCode>('ERR_GRPC_CALLER', 'onBehalfOf needs a principal that a guard has proven.')
  return caller
}
