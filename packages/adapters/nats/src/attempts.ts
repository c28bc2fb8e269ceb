import { setTimeout as wait } from 'node:timers/promises'
import { requireNumber } from '@portcullis/core'
import { diagnose } from './diagnose.ts'

/** The longest wait between two attempts, in milliseconds: a broker that is back is used soon, and one that is down is not hammered. */
export const maxRetryDelayMs = 30_000
const firstDelayMs = 200

/** The wait before another attempt, with a spread of half so that many clients do not come at once. */
export function retryDelayMs(attempt: number, random: () => number = Math.random): number {
  return Math.min(maxRetryDelayMs, firstDelayMs * 2 ** Math.min(attempt, 16)) * (0.5 + random() / 2)
}

/** Runs a task until it succeeds, up to `maxAttempts` times, as long as it fails for an outage. A refusal is never repeated. */
export async function attempting<T>(maxAttempts: number, task: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  requireNumber('maxAttempts', maxAttempts, { min: 1, max: 1_000_000_000 })
  for (let attempt = 0; ; attempt++) {
    try {
      return await task()
    } catch (error) {
      const meant = diagnose(error)
      if (meant.family !== 'unavailable' || attempt + 1 >= maxAttempts || signal?.aborted === true) throw meant
      await pause(retryDelayMs(attempt), signal)
    }
  }
}

/** Waits, or until `signal` aborts. */
export async function pause(delayMs: number, signal?: AbortSignal): Promise<void> {
  await wait(delayMs, undefined, signal && { signal }).catch(() => undefined)
}
