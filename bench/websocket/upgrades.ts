import { makeScene } from '../http/scene.ts'
import type { RunOptions, Table } from '../table.ts'
import { columns, rowsOf } from '../windows.ts'
import { bare, measure, ours } from './measure.ts'

const inOneWindow = 100

/** Opening WebSockets: a TLS handshake, an upgrade that is judged, and the end of it. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const scene = await makeScene()
  const contenders = await Promise.all([bare('ws', scene), bare('ws, once more', scene), ours('serve, JWT and scope', scene)])
  const { authority, fields } = scene.requests
  const costs = await measure(
    contenders,
    quick ? 10 : 100,
    ({ port }, id) => ({ before: [], measured: { type: 'upgrade', id, port, authority, fields, count: inOneWindow }, count: inOneWindow }),
    // Some thousand times, until the compiler has seen enough of code that is run once a connection.
    quick ? 6 : 40,
  )
  return {
    title: 'WebSocket: upgrades',
    note: 'A full TLS 1.3 handshake, the upgrade, and the end of the connection; RS256 tokens verified before. The second row is the noise.',
    columns,
    rows: rowsOf(costs, [
      { name: 'ws', base: 'ws' },
      { name: 'ws, once more', base: 'ws' },
      { name: 'serve, JWT and scope', base: 'ws', goal: 0.96 },
    ]),
  }
}
