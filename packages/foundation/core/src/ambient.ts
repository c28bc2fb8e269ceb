import { AsyncLocalStorage } from 'node:async_hooks'
import { ConfigurationError } from './errors.ts'
import { isPrincipal, type Anonymous, type Principal } from './principal.ts'

// Under Symbol.for, so that two copies of this package share one storage.
const key = Symbol.for('portcullis.caller')
const storage: AsyncLocalStorage<Principal | Anonymous> = ((
  globalThis as unknown as Record<symbol, AsyncLocalStorage<Principal | Anonymous> | undefined>
)[key] ??= new AsyncLocalStorage())

/**
 * Runs `work` with the caller at hand for {@link ambientCaller}. Only for adapters of frameworks that fix the
 * handler's shape; everywhere else the principal is an argument.
 */
export function runAs<T>(caller: Principal | Anonymous, work: () => T): T {
  return storage.run(caller, work)
}

/** The caller whose request is being handled, behind a framework. Throws `ERR_CALLER_MISSING` where there is none, or an anonymous one. */
export function ambientCaller(): Principal {
  const caller = storage.getStore()
  if (!isPrincipal(caller))
    throw new ConfigurationError(
      'ERR_CALLER_MISSING',
      'There is no caller here: call this while a guarded request of an authenticated caller is handled, or pass `onBehalfOf`.',
    )
  return caller
}
