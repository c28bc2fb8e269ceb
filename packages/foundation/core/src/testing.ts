/**
 * What tests of guards and adapters need from the core: a clock that stands still until it is told to move.
 * For tests only; the scenario suite and an issuer for tests are in `@portcullis/testkit`.
 */
import type { Clock, Timer } from './clock.ts'

/** A clock that a test moves. */
export interface ManualClock extends Clock {
  /** Moves the time forwards and runs what is due, in order, each at its own time. */
  advance(byMs: number): void
  /** Like {@link ManualClock.advance}, and lets promises settle after each timer. */
  advanceAsync(byMs: number): Promise<void>
  /** Sets the time without running anything, as a machine's clock that is set; timers keep their remaining delay. */
  step(toMs: number): void
  /** How many timers wait. */
  readonly pending: number
}

interface Waiting {
  readonly at: number
  readonly task: () => void
}

/** Makes a clock that begins at `startMs` (default: 2026-01-01, an arbitrary fixed time). */
export function manualClock(startMs: number = Date.UTC(2026, 0, 1)): ManualClock {
  let offset = startMs
  let elapsed = 0
  const waiting = new Set<Waiting>()
  const nextDue = (until: number): Waiting | undefined => {
    let next: Waiting | undefined
    for (const entry of waiting) if (entry.at <= until && (next === undefined || entry.at < next.at)) next = entry
    return next
  }
  const runNext = (until: number): boolean => {
    const next = nextDue(until)
    if (next === undefined) return false
    waiting.delete(next)
    elapsed = Math.max(elapsed, next.at)
    next.task()
    return true
  }
  return {
    now: () => offset + elapsed,
    schedule(delayMs, task): Timer {
      const entry = { at: elapsed + Math.max(0, delayMs), task }
      waiting.add(entry)
      return { cancel: () => void waiting.delete(entry) }
    },
    advance(byMs) {
      const until = elapsed + byMs
      while (runNext(until));
      elapsed = until
    },
    async advanceAsync(byMs) {
      const until = elapsed + byMs
      do await new Promise((resolve) => setImmediate(resolve))
      while (runNext(until))
      elapsed = until
      await new Promise((resolve) => setImmediate(resolve))
    },
    step(toMs) {
      offset = toMs - elapsed
    },
    get pending() {
      return waiting.size
    },
  }
}
