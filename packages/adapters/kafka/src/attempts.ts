import { requireNumber, retrying } from '@portcullis/core'
import { diagnose } from './diagnose.ts'

const attempting = retrying(diagnose)

/**
 * Runs a task until it succeeds, up to `maxAttempts` times, as long as it fails for an outage; throws what the failure
 * means. A refusal is never repeated.
 */
export function attempts(where: string, maxAttempts: number): <T>(task: () => Promise<T>) => Promise<T> {
  requireNumber(`${where}: maxAttempts`, maxAttempts, { min: 1, max: 1_000 })
  return (task) => attempting(maxAttempts, task)
}
