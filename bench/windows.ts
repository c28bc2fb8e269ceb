import { fork, type ChildProcess } from 'node:child_process'
import { quantile, shuffled, summary } from './measure.ts'

/** What one request, call or message costs a server. */
export interface Cost {
  /** Microseconds of processor time, all threads: the 10th percentile of the windows, since a disturbance can only add. */
  readonly us: number
  /** Half the distance of the quartiles of the windows, as a share of their median. */
  readonly spread: number
}

/**
 * Measures servers in short windows and in random order, so that what else the machine does falls on all of them; `take`
 * resolves with what one request of a window has cost. Requests per second would measure the load generator and the
 * neighbours.
 */
export async function inWindows<C>(
  contenders: readonly C[],
  windows: number,
  take: (contender: C, id: number) => Promise<number>,
): Promise<ReadonlyMap<C, Cost>> {
  const samples = new Map(contenders.map((contender) => [contender, [] as number[]]))
  for (let window = 0; window < windows; window++)
    for (const [id, contender] of shuffled([...contenders.entries()])) samples.get(contender)?.push(await take(contender, id))
  return new Map([...samples].map(([contender, taken]) => [contender, { us: quantile(taken, 0.1), spread: summary(taken).spread }]))
}

/** The processor time of this process, in microseconds, while something else is done. */
export async function processorTime(during: () => Promise<unknown>): Promise<number> {
  const begin = process.cpuUsage()
  await during()
  const { user, system } = process.cpuUsage(begin)
  return user + system
}

/** Starts another process, so that its processor time is not counted with ours. */
export function start(file: URL): ChildProcess {
  return fork(file, { execArgv: ['--conditions=@portcullis/source'] })
}

/** Asks another process for something, and waits until it was done. */
export function ask<T = unknown>(child: ChildProcess, message: object): Promise<T> {
  return new Promise((resolve, reject) => {
    child.once('message', (answer: T & { readonly error?: string }) =>
      answer.error === undefined ? resolve(answer) : reject(new Error(answer.error)),
    )
    child.send(message)
  })
}

/** The columns that {@link rowsOf} fills. */
export const columns: readonly string[] = ['server', 'µs of CPU per request', 'spread', 'compared with', 'ratio', 'goal']

/** Rows for a table: cost, and what share of `base`'s cost it is, as speed (1 is as fast). */
export function rowsOf(
  costs: ReadonlyMap<{ readonly name: string }, Cost>,
  names: readonly { readonly name: string; readonly base: string; readonly goal?: number }[],
): (string | number)[][] {
  const byName = new Map([...costs].map(([{ name }, cost]) => [name, cost]))
  return names.map(({ name, base, goal }) => {
    const { us = Number.NaN, spread = Number.NaN } = byName.get(name) ?? {}
    const ratio = (byName.get(base)?.us ?? Number.NaN) / us
    const met = goal === undefined ? '' : `>= ${goal} ${ratio >= goal ? 'met' : 'MISSED'}`
    return [name, us.toFixed(us < 10 ? 2 : 1), `${(spread * 100).toFixed(0)} %`, base, ratio.toFixed(3), met]
  })
}
