type Stage = 'early' | 'late'

const work: Record<Stage, (() => void)[]> = { early: [], late: [] }
let installed = false

/** Runs synchronous clean-up when this process ends, by itself or by a signal: children are killed early, their folders removed late. */
export function onProcessEnd(stage: Stage, cleanUp: () => void): void {
  work[stage].push(cleanUp)
  if (installed) return
  installed = true
  process.once('exit', cleanUpAll)
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      // Whoever else listens has his own plan for an orderly end; `exit` follows it.
      if (process.listenerCount(signal) > 0) return
      cleanUpAll()
      // Die of the signal as if nobody had listened.
      process.kill(process.pid, signal)
    })
  }
}

function cleanUpAll(): void {
  for (const stage of ['early', 'late'] as const) {
    for (const cleanUp of work[stage]) {
      try {
        cleanUp()
      } catch {
        // The next one must have its turn.
      }
    }
  }
}
