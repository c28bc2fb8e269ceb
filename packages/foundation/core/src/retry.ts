import { setTimeout as wait } from 'node:timers/promises'
import type { SecurityError } from './errors.ts'
import { requireNumber } from './options.ts'

/**
 * How long to leave alone what has failed `failures` times before: `firstMs`, doubling up to `maxMs`, half of it by
 * chance, so that many instances do not come back at once. `random` is between 0 and 1.
 */
export function backoffMs(failures: number, firstMs: number, maxMs: number, random: () => number = Math.random): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(failures, 16)) * (0.5 + random() / 2)
}

/** The longest wait between two attempts, in milliseconds: a broker that is back is used soon, and one that is down is not hammered. */
export const maxRetryDelayMs = 30_000
const firstRetryDelayMs = 200

/** The wait before another attempt at a broker, in milliseconds: see {@link backoffMs}. */
export function retryDelayMs(attempt: number): number {
  return backoffMs(attempt, firstRetryDelayMs, maxRetryDelayMs)
}

/**
 * Makes a function that runs a task until it succeeds, up to `maxAttempts` times, as long as `meaning` takes the failure
 * for an outage; throws what the failure means. A refusal is never repeated, and nothing is once `signal` has aborted.
 */
export function retrying(
  meaning: (error: unknown) => SecurityError,
): <T>(maxAttempts: number, task: () => Promise<T>, signal?: AbortSignal) => Promise<T> {
  return async (maxAttempts, task, signal) => {
    requireNumber('maxAttempts', maxAttempts, { min: 1, max: 1_000_000_000 })
    for (let attempt = 0; ; attempt++) {
      try {
        return await task()
      } catch (error) {
        const meant = meaning(error)
        if (meant.family !== 'unavailable' || attempt + 1 >= maxAttempts || signal?.aborted === true) throw meant
        await pause(retryDelayMs(attempt), signal)
      }
    }
  }
}

/** Waits, or until `signal` aborts; never rejects. Keeps the process alive meanwhile. */
export async function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
  await wait(delayMs, undefined, signal && { signal }).catch(() => undefined)
}
