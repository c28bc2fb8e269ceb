import type { Clock } from '@portcullis/core'
import type { Instead } from './token-source.ts'

/** A request that follows from an authorization: its scopes were asked for when that began (RFC 6749 section 4.1.3, RFC 8628 section 3.4). */
export const afterAuthorization: Instead = { wanted: ({ pairs }) => ({ scope: undefined, pairs }) }

/** Waits by a clock, or rejects with the reason of the signal. */
export function wait(clock: Clock, delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.schedule(delayMs, () => {
      signal?.removeEventListener('abort', stop)
      resolve()
    })
    if (signal?.aborted === true) stop()
    else signal?.addEventListener('abort', stop, { once: true })
  })
}

/** Whether a browser may be sent there: what is handed to one must not be a script or a program. */
export function isHttps(address: string): boolean {
  return URL.canParse(address) && new URL(address).protocol === 'https:'
}
