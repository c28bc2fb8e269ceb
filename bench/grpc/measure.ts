import { ask, inWindows, start } from '../windows.ts'
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
export const columns: readonly string[] = ['server', 'µs of CPU', 'spread', 'ratio', 'goal']

/** The processor time of each server for one message. The first is what all are compared with. */
export async function measure(contenders: readonly Contender[], calls: Calls, windows: number): Promise<(string | number)[][]> {
  const far = start(new URL('./load.ts', import.meta.url))
  const servers = contenders.map((contender) => ({ contender, process: start(new URL('./server.ts', import.meta.url)) }))
  const { authority, tokens, path, perWindow, messages, key, certificate, publicKey } = calls
  const run = (id: number): Promise<unknown> => ask(far, { type: 'run', id, count: perWindow } satisfies RunMessage)
  const costOf = async ({ process }: (typeof servers)[number]): Promise<number> =>
    (await ask<Answer>(process, { type: 'cost' } satisfies CostMessage)).value
  try {
    for (const [id, { contender, process }] of servers.entries()) {
      const listen: ListenMessage = { type: 'listen', kind: contender.kind, key, certificate, publicKey }
      const { value: port } = await ask<Answer>(process, listen)
      await ask(far, { type: 'open', id, port, path, authority, tokens } satisfies OpenMessage)
      for (let warm = 0; warm < 20; warm++) await run(id)
    }
    const costs = await inWindows(servers, windows, async (server, id) => {
      const before = await costOf(server)
      await run(id)
      return ((await costOf(server)) - before) / perWindow / messages
    })
    const [first = Number.NaN] = [...costs.values()].map(({ us }) => us)
    return [...costs].map(
      ([
        {
          contender: { name, goal },
        },
        { us, spread },
      ]) => {
        const ratio = first / us
        const met = goal === undefined ? '' : `>= ${goal} ${ratio >= goal ? 'met' : 'MISSED'}`
        return [name, us.toFixed(2), `${(spread * 100).toFixed(0)} %`, ratio.toFixed(3), met]
      },
    )
  } finally {
    far.kill()
    for (const { process } of servers) process.kill()
  }
}

/** What a server answers: its port, or its processor time so far. */
interface Answer {
  readonly value: number
}
