import type { Metadata } from '@grpc/grpc-js'
import { principalOf as principalOfNative, type Anonymous, type Guard, type Principal } from '@portcullis/core'

type Party = Principal | Anonymous

interface Proven {
  readonly guard: Guard
  readonly principal: Party
}

// Where the library lets others keep something with metadata; it is not sent, and a copy does not have it. A weak map of
// calls, which `guard.remember` is, costs a tenth of a call: its entries outlive them until the next full collection.
const key = 'portcullis.principal'

/** Keeps who a call comes from, for {@link principalOf}. */
export function remember<P extends Party>(guard: Guard<P>, metadata: Metadata, principal: P): void {
  metadata.setOpaque(key, { guard, principal } satisfies Proven)
}

/**
 * The principal of a call, in handlers that are not given it: those of other libraries and of generated code. Typed by
 * the guard that covers the method; after a renewal it is the new one. Throws `ERR_GUARD_NOT_RUN` for a guard that has
 * not allowed this call, and where an interceptor of one's own has put other metadata in place of the call's.
 */
export function principalOf<P extends Party>(guard: Guard<P>, call: { readonly metadata: Metadata }): P {
  const proven = call.metadata.getOpaque(key) as Proven | undefined
  // The guard that is kept beside it has proven it, and this is that guard.
  return proven !== undefined && proven.guard === guard ? (proven.principal as P) : principalOfNative(guard, call)
}
