import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { OpenMessage, RunMessage } from './load.ts'
import type { CostMessage, Kind, ListenMessage } from './server.ts'

/** A server that is measured against another. */
export interface Contender {
  readonly name: string
  readonly kind: Kind
  readonly goal?: number
}

/** What is common to the calls of all contenders. */
export interface Calls extends Omit<ListenMessage, 'type' | 'kind'> {
  readonly authority: string
  readonly tokens: readonly string[]
  readonly path: string
  /** In one window: long enough that the messages around it do not count. */
  readonly perWindow: number
  /** By how much a window's cost is divided: the messages of a call. */
  readonly messages: number
}

/** The columns that {@link measure} fills. */
export const columns: readonly string[] = ['server', 'µs of CPU', 'ratio', 'goal']

/**
 * The processor time of each server for one message, all threads: windows in random order, of which the 10th percentile
 * counts. Calls per second would measure the load generator and the neighbours. The first is what all are compared with.
 */
export async function measure(contenders: readonly Contender[], calls: Calls, windows: number): Promise<(string | number)[][]> {
  const far = start('./load.ts')
  const servers = contenders.map((contender) => ({ contender, process: start('./server.ts'), samples: [] as number[] }))
  try {
    const { authority, tokens, path, perWindow, messages, key, certificate, publicKey } = calls
    for (const [id, { contender, process }] of servers.entries()) {
      const port = await ask(process, { type: 'listen', kind: contender.kind, key, certificate, publicKey })
      await ask(far, { type: 'open', id, port, path, authority, tokens })
      for (let warm = 0; warm < 20; warm++) await ask(far, { type: 'run', id, count: perWindow })
    }
    for (let window = 0; window < windows; window++) {
      for (const [id, { process, samples }] of shuffled([...servers.entries()])) {
        const before = await ask(process, { type: 'cost' })
        await ask(far, { type: 'run', id, count: perWindow })
        samples.push(((await ask(process, { type: 'cost' })) - before) / perWindow / messages)
      }
    }
    const costs = servers.map(({ samples }) => samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 10)] ?? Number.NaN)
    return servers.map(({ contender: { name, goal } }, id) => {
      const us = costs[id] ?? Number.NaN
      const ratio = (costs[0] ?? Number.NaN) / us
      return [name, us.toFixed(2), ratio.toFixed(3), goal === undefined ? '' : `>= ${goal} ${ratio >= goal ? 'met' : 'MISSED'}`]
    })
  } finally {
    far.kill()
    for (const { process } of servers) process.kill()
  }
}

function start(file: string): ChildProcess {
  return fork(fileURLToPath(new URL(file, import.meta.url)), { execArgv: ['--conditions=@portcullis/source'] })
}

function ask(child: ChildProcess, message: OpenMessage | RunMessage | ListenMessage | CostMessage): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('message', ({ value = 0, error }: { readonly value?: number; readonly error?: string }) =>
      error === undefined ? resolve(value) : reject(new Error(error)),
    )
    child.send(message)
  })
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
