/**
 * Calls each listener. What one of them throws keeps nobody else from being told, nor the caller from going on: who
 * revokes or changes a policy has done so, and what must end by it ends. The fault is a warning of the process.
 */
export function tell<T>(listeners: Iterable<(value: T) => void>, value: T): void {
  // A copy, for a listener may add others.
  for (const listener of new Set(listeners)) {
    try {
      listener(value)
    } catch (fault) {
      process.emitWarning(fault instanceof Error ? fault : new Error(`A listener threw ${typeof fault}.`))
    }
  }
}
