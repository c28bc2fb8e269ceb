import { checkOptions, requireGuard, type Anonymous, type Authorizer, type Guard, type Principal } from '@portcullis/core'
import type { Cors } from './cors.ts'
import type { Handler } from './handler.ts'

type Party = Principal | Anonymous

interface ResourcePlace {
  /** In capitals; `*` for every method that no other resource of the path takes. A GET answers HEAD too. */
  readonly method: string
  /** Below the service's path: `/`, `/:id`, `/files/*`. A more specific path wins: text before `:name` before `*`. */
  readonly path: string
  /** Replaces the service's. */
  readonly cors?: Cors
}

/** A resource under its service's guard, or with other rights than the service's. */
export interface InheritingResource<P extends Party = Party> extends ResourcePlace {
  readonly handler: Handler<P>
  /** Replaces what the level above demands of the same principals. */
  readonly authorize?: Authorizer
  readonly guard?: never
}

/** A resource with a guard of its own. */
export interface GuardedResource<P extends Party = Party> extends ResourcePlace {
  readonly guard: Guard<P>
  readonly handler: Handler<P>
}

const known = new WeakSet<object>()

/** Made by {@link resource}: a resource whose handler's principal was checked against its own guard. */
export interface Resource extends ResourcePlace {
  readonly guard: Guard
  readonly handler: Handler
  readonly resource: true
}

/** A resource with a guard of its own, which the type of its handler's principal follows. */
export function resource<P extends Party>(init: GuardedResource<P>): Resource {
  checkOptions<GuardedResource<P>>('resource', init, { method: true, path: true, cors: true, guard: true, handler: true })
  // The guard and the handler agree on P; from here on they go together and nobody asks again.
  const made = Object.freeze({
    ...init,
    guard: requireGuard('resource', init.guard) as Guard,
    handler: init.handler as Handler,
    resource: true as const,
  })
  known.add(made)
  return made
}

/** Resources below one path. */
export interface Service<P extends Party = Party> {
  /** `/orders`, or `/`. */
  readonly path: string
  /** Covers the service's resources, and what is asked for below its path and is not there. Make it from the listener's by `guard.with(…)` to inherit. */
  readonly guard: Guard<P>
  readonly cors?: Cors
  readonly resources: readonly [InheritingResource<P> | Resource, ...(InheritingResource<P> | Resource)[]]
}

/** Checks a service's types: the principal of each handler is that of the guard above it. Returns it as it is. */
export function service<P extends Party>(init: Service<P>): Service {
  // As in `resource`: guard and handlers agree on P here.
  return init as unknown as Service
}

/** Tells what {@link resource} has made from a resource that inherits. */
export function isResource(value: InheritingResource | Resource): value is Resource {
  return known.has(value)
}
