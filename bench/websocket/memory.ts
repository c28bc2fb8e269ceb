import { spawn, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

import type { RunOptions, Table } from '../table.ts'
import type { Held, HolderMessage } from './holder.ts'
import type { LoadMessage } from './load.ts'
import { ask } from '../windows.ts'

/** What an open WebSocket costs in memory: of its own, for its principal, and for the session that ends it. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const count = quick ? 2_000 : 10_000
  const bytes = new Map<Held, number>()
  for (const held of ['ws', 'ws and principals', 'serve'] as const) bytes.set(held, await measure(held, count))
  const of = (held: Held): number => bytes.get(held) ?? Number.NaN
  const session = of('serve') - of('ws and principals')
  return {
    title: `WebSocket: memory of ${count} connections`,
    note: 'Heap and external memory of the server after garbage collection, for each connection; without TLS, which is the same for all. The last row is what the guard, the session clock and the adapter hold beside the socket and the claims.',
    columns: ['server', 'bytes a connection', 'goal'],
    rows: [
      ['ws', of('ws').toFixed(0), ''],
      ['ws, with a principal each', of('ws and principals').toFixed(0), ''],
      ['serve', of('serve').toFixed(0), ''],
      ['serve, without socket and principal', session.toFixed(0), `< 1024 ${session < 1024 ? 'met' : 'MISSED'}`],
    ],
  }
}

async function measure(held: Held, count: number): Promise<number> {
  const [holder, load] = [start('holder.ts', ['--expose-gc']), start('load.ts', [])]
  try {
    const tell = <T>(message: HolderMessage): Promise<T> => ask<T>(holder, message)
    const { port } = await tell<{ readonly port: number }>({ type: 'listen', held })
    const fields = Array.from({ length: count }, (_, at) => ({ Authorization: `Bearer user-${String(at).padStart(8, '0')}` }))
    const open = (id: number, from: number, to: number): Promise<unknown> =>
      ask(load, { type: 'open', id, port, authority: '', fields: fields.slice(from, to), count: to - from } satisfies LoadMessage)
    // What is made once, and code that is compiled, is no connection's.
    const warm = Math.floor(count / 10)
    await open(1, 0, warm)
    const before = await tell<{ readonly bytes: number }>({ type: 'heap' })
    await open(2, warm, count)
    const after = await tell<{ readonly bytes: number }>({ type: 'heap' })
    return (after.bytes - before.bytes) / (count - warm)
  } finally {
    holder.kill()
    load.kill()
  }
}

/** Each end has a descriptor for each connection, so the limit is raised as far as it goes. */
function start(file: string, flags: readonly string[]): ChildProcess {
  const command = `ulimit -n "$(ulimit -H -n)"; exec "$@"`
  const args = [process.execPath, '--conditions=@portcullis/source', ...flags, fileURLToPath(new URL(file, import.meta.url))]
  return spawn('sh', ['-c', command, 'sh', ...args], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
}
