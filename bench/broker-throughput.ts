import type { Table } from './table.ts'

/** The content of every message. */
export const payload = 'x'.repeat(200)

// So many are on the way to be confirmed.
const atOnce = 100

/** Sends so many messages; resolves with how many a second. */
export async function sendAll(count: number, send: () => Promise<unknown>): Promise<number> {
  let left = count
  const lane = async (): Promise<void> => {
    while (left-- > 0) await send()
  }
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: atOnce }, lane))
  return Math.round((count * 1_000) / (performance.now() - startedAt))
}

/** Counts messages that are handled; `done` resolves with how many a second, once there were so many. */
export function counting(count: number): { readonly done: Promise<number>; readonly handle: () => void } {
  const all = Promise.withResolvers<number>()
  let [handled, startedAt] = [0, 0]
  return {
    done: all.promise,
    handle: () => {
      if (handled++ === 0) startedAt = performance.now()
      if (handled === count) all.resolve(Math.round((count * 1_000) / (performance.now() - startedAt)))
    },
  }
}

/** What came out for a broker. */
export function throughputTable(broker: string, count: number, rows: Table['rows']): Table {
  return {
    title: `${broker}: messages of 200 bytes, with and without a signed identity, beside the bare library`,
    note: `${count} messages, ${atOnce} on the way to be confirmed at a time, at most 500 to be handled; the broker, both ends and the signatures share this machine. Handled: from the first message to the last.`,
    columns: ['', 'stored / s', 'handled / s'],
    rows,
  }
}
