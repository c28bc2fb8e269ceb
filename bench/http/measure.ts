import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import type { OpenMessage, RunMessage } from './load.ts'

/** A server that is measured against others. */
export interface Contender {
  readonly name: string
  readonly version: 'http/1.1' | 'h2'
  readonly port: number
  readonly close: () => Promise<unknown>
}

/** What a contender's requests cost. */
export interface Cost {
  /** Processor time of the server for one request, in microseconds: all threads, the 10th percentile of the windows. */
  readonly us: number
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

/**
 * Measures all contenders in this one process, in windows of 500 requests and in random order, so that what else the
 * machine does falls on all of them. Requests per second would measure the load generator and the neighbours.
 */
export async function measure(contenders: readonly Contender[], requests: Requests, windows: number): Promise<ReadonlyMap<string, Cost>> {
  const far = fork(fileURLToPath(new URL('./load.ts', import.meta.url)), { execArgv: ['--conditions=@portcullis/source'] })
  try {
    const samples = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]))
    for (const [id, { port, version }] of contenders.entries()) {
      await ask(far, { type: 'open', id, port, version, ...requests })
      for (let warm = 0; warm < 8; warm++) await ask(far, { type: 'run', id, count: windowRequests })
    }
    for (let window = 0; window < windows; window++) {
      for (const [id, contender] of shuffled([...contenders.entries()])) {
        const begin = process.cpuUsage()
        await ask(far, { type: 'run', id, count: windowRequests })
        const { user, system } = process.cpuUsage(begin)
        samples.get(contender)?.push((user + system) / windowRequests)
      }
    }
    return new Map(
      contenders.map((contender) => {
        const sorted = (samples.get(contender) ?? []).toSorted((a, b) => a - b)
        return [contender.name, { us: sorted[Math.floor(sorted.length / 10)] ?? Number.NaN }]
      }),
    )
  } finally {
    far.kill()
    await Promise.all(contenders.map((contender) => contender.close()))
  }
}

function ask(far: ChildProcess, message: OpenMessage | RunMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    far.once('message', (answer: { readonly error?: string }) => (answer.error === undefined ? resolve() : reject(new Error(answer.error))))
    far.send(message)
  })
}

/** Rows for a table: cost, and what share of `base`'s cost it is, as speed (1 is as fast). */
export function rowsOf(
  costs: ReadonlyMap<string, Cost>,
  names: readonly { readonly name: string; readonly base: string; readonly goal?: number }[],
): (string | number)[][] {
  return names.map(({ name, base, goal }) => {
    const us = costs.get(name)?.us ?? Number.NaN
    const ratio = (costs.get(base)?.us ?? Number.NaN) / us
    return [name, us.toFixed(1), base, ratio.toFixed(3), goal === undefined ? '' : `>= ${goal} ${ratio >= goal ? 'met' : 'MISSED'}`]
  })
}

/** The columns that {@link rowsOf} fills. */
export const columns: readonly string[] = ['server', 'µs of CPU per request', 'compared with', 'ratio', 'goal']

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
