import { ask, inWindows, processorTime, start, type Cost } from '../windows.ts'
import type { OpenMessage, RunMessage } from './load.ts'

/** A server that is measured against others. */
export interface Contender {
  readonly name: string
  readonly version: 'http/1.1' | 'h2'
  readonly port: number
  readonly close: () => Promise<unknown>
}

/** How the requests look: the same for every contender. */
export interface Requests {
  readonly authority: string
  readonly path: string
  /** The fields of each connection. */
  readonly fields: readonly Readonly<Record<string, string>>[]
}

// Long enough that the two messages around it do not count, short enough that many windows are undisturbed.
const windowRequests = 500

/** Measures all contenders in this one process, in windows of 500 requests. */
export async function measure(
  contenders: readonly Contender[],
  requests: Requests,
  windows: number,
): Promise<ReadonlyMap<Contender, Cost>> {
  const far = start(new URL('./load.ts', import.meta.url))
  const run = (id: number): Promise<unknown> => ask(far, { type: 'run', id, count: windowRequests } satisfies RunMessage)
  try {
    for (const [id, { port, version }] of contenders.entries()) {
      await ask(far, { type: 'open', id, port, version, ...requests } satisfies OpenMessage)
      for (let warm = 0; warm < 8; warm++) await run(id)
    }
    return await inWindows(contenders, windows, async (_, id) => (await processorTime(() => run(id))) / windowRequests)
  } finally {
    far.kill()
    await Promise.all(contenders.map((contender) => contender.close()))
  }
}
