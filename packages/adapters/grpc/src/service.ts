import type {
  status,
  handleUnaryCall,
  MethodDefinition,
  sendUnaryData,
  ServerDuplexStream,
  ServerReadableStream,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from '@grpc/grpc-js'
import {
  checkOptions,
  ConfigurationError,
  requireFunction,
  requireGuard,
  type Anonymous,
  type Guard,
  type Principal,
} from '@portcullis/core'
import type { GrpcErrorCode } from './errors.ts'
import { principalOf } from './principal.ts'
import { refusals } from './refuse.ts'

type Party = Principal | Anonymous
type RequestOf<M> = M extends { readonly requestDeserialize: (bytes: Buffer) => infer Q } ? Q : never
type ResponseOf<M> = M extends { readonly responseDeserialize: (bytes: Buffer) => infer R } ? R : never

/**
 * What answers a method: the library's call, and the principal that the guard proved. A method with one response
 * returns it, or a promise of it; one with a stream of responses writes to the call and ends it.
 *
 * Definitions whose `requestStream` and `responseStream` are mere booleans (those that `proto-loader` makes at run
 * time) tell the compiler nothing of a call: there its type is the one that the handler writes.
 *
 * What it throws is answered with INTERNAL and told to nobody but the audit trail (`ERR_GRPC_HANDLER`); what the peer
 * is to know it throws as {@link StatusError}.
 */
export type Handler<M, P> = M extends { readonly requestStream: infer I; readonly responseStream: infer O }
  ? [boolean] extends [I]
    ? (call: never, principal: P) => unknown
    : [boolean] extends [O]
      ? (call: never, principal: P) => unknown
      : I extends true
        ? O extends true
          ? (call: ServerDuplexStream<RequestOf<M>, ResponseOf<M>>, principal: P) => unknown
          : (call: ServerReadableStream<RequestOf<M>, ResponseOf<M>>, principal: P) => ResponseOf<M> | Promise<ResponseOf<M>>
        : O extends true
          ? (call: ServerWritableStream<RequestOf<M>, ResponseOf<M>>, principal: P) => unknown
          : (call: ServerUnaryCall<RequestOf<M>, ResponseOf<M>>, principal: P) => ResponseOf<M> | Promise<ResponseOf<M>>
  : never

/** What {@link service} takes. */
export interface ServiceOptions<
  D extends ServiceDefinition,
  P extends Party,
  G extends { readonly [K in keyof D]?: Guard<never> | Guard<Party> | Guard<Anonymous> },
> {
  /** Generated, loaded, or written by hand. All of its methods must have one service name. */
  readonly definition: D
  /** Covers every method that `guards` does not name. */
  readonly guard: Guard<P>
  /** Lower levels, by method. The most specific holds. */
  readonly guards?: G
  readonly handlers: {
    readonly [K in keyof D]: Handler<D[K], K extends keyof G ? (G[K] extends Guard<infer Q> ? Q : P) : P>
  }
}

/** A service with its guards and handlers. Made by {@link service}, taken by `serve`. */
export interface Service {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
  /** By the path of the method. */
  readonly guards: ReadonlyMap<string, Guard>
}

/** A failure that the peer is to know of: its code and text are sent, and those of no other error. */
export class StatusError extends Error {
  override readonly name = 'StatusError'
  readonly code: status

  constructor(code: status, details: string) {
    super(details)
    this.code = code
  }
}

/**
 * Puts a service together: definition, guards and typed handlers. Throws `ERR_GUARD_MISSING` without a guard,
 * `ERR_GRPC_METHOD_UNKNOWN` for a guard of a method that does not exist, `ERR_OPTION_MISSING` for a method without a
 * handler.
 */
export function service<
  const D extends ServiceDefinition,
  P extends Party,
  G extends { readonly [K in keyof D]?: Guard<never> | Guard<Party> | Guard<Anonymous> } = object,
>(options: ServiceOptions<D, P, G>): Service {
  checkOptions<ServiceOptions<D, P, G>>('service', options, { definition: true, guard: true, guards: true, handlers: true })
  const guard: Guard = requireGuard('service', options.guard)
  const own = new Map<string, Guard | undefined>(Object.entries(options.guards ?? {}))
  const handlers = new Map<string, unknown>(Object.entries(options.handlers))
  const implementation: UntypedServiceImplementation = {}
  const guards = new Map<string, Guard>()
  for (const [name, method] of Object.entries(options.definition) as [string, MethodDefinition<unknown, unknown>][]) {
    const level: Guard = own.has(name) ? requireGuard(`service: the guard of "${name}"`, own.get(name)) : guard
    own.delete(name)
    const handler = requireFunction(`service: the handler of "${name}"`, handlers.get(name) as UntypedHandler | undefined)
    guards.set(method.path, level)
    implementation[name] = implementationOf(method, level, handler)
  }
  for (const name of own.keys())
    throw new ConfigurationError<GrpcErrorCode>('ERR_GRPC_METHOD_UNKNOWN', `service: there is no method "${name}" to guard.`)
  return { definition: options.definition, implementation, guards }
}

const noop = (): void => undefined

type AnyCall = ServerUnaryCall<unknown, unknown> | ServerDuplexStream<unknown, unknown>
type UntypedHandler = (call: AnyCall, principal: Party) => unknown

function implementationOf(
  { path, responseStream }: MethodDefinition<unknown, unknown>,
  guard: Guard,
  handler: UntypedHandler,
): UntypedServiceImplementation[string] {
  const failed = (cause: unknown): { readonly code: status; readonly details: string } => {
    if (cause instanceof StatusError) return { code: cause.code, details: cause.message }
    guard.report({
      type: 'warning',
      protocol: 'grpc',
      code: 'ERR_GRPC_HANDLER' satisfies GrpcErrorCode,
      message: `The handler of "${path}" threw.`,
      cause,
    })
    return refusals.internal
  }
  const run = (call: AnyCall, done: (value: unknown) => void, refuse: (error: unknown) => void): void => {
    try {
      const value = handler(call, principalOf(guard, call))
      if (value instanceof Promise) value.then(done, refuse)
      else done(value)
    } catch (error) {
      refuse(error)
    }
  }
  if (!responseStream) {
    const answer: handleUnaryCall<unknown, unknown> = (call, callback: sendUnaryData<unknown>) =>
      run(
        call,
        (value) => callback(null, value),
        (error) => callback(failed(error)),
      )
    return answer
  }
  return (call: ServerDuplexStream<unknown, unknown>) =>
    // The library's way to end a stream with a status.
    run(call, noop, (error) => call.emit('error', failed(error)))
}
