import { makeScene } from '../http/scene.ts'
import type { RunOptions, Table } from '../table.ts'
import { columns, rowsOf } from '../windows.ts'
import { bare, measure, ours } from './measure.ts'

const inOneWindow = 4_000
const action = { action: 'order', resource: 'feed', attributes: {} }

/** Messages that are sent back, over connections that are open. */
export async function run({ quick }: RunOptions): Promise<Table> {
  const scene = await makeScene()
  const contenders = await Promise.all([
    bare('ws', scene),
    bare('ws, once more', scene),
    ours('serve, JWT and scope', scene),
    ours('serve, each message judged', scene, { message: { action: () => action } }),
  ])
  const { authority, fields } = scene.requests
  const costs = await measure(contenders, quick ? 15 : 300, ({ port }, id) => ({
    before: [{ type: 'open', id, port, authority, fields, count: 16 }],
    measured: { type: 'echo', id, count: inOneWindow },
    count: inOneWindow,
  }))
  return {
    title: 'WebSocket: messages',
    note: 'Texts of 113 bytes over TLS 1.3 on 16 connections, eight in a packet, each sent back. "Judged" is the guard at every message: expiry, revocation, scope. The second row is the noise.',
    columns: columns.map((column) => column.replace('request', 'message')),
    rows: rowsOf(costs, [
      { name: 'ws', base: 'ws' },
      { name: 'ws, once more', base: 'ws' },
      { name: 'serve, JWT and scope', base: 'ws', goal: 0.98 },
      { name: 'serve, each message judged', base: 'ws', goal: 0.92 },
    ]),
  }
}
