import { BoundedCache, checkOptions, type Clock } from '@portcullis/core'

/**
 * Where a message was seen before. `first`: nowhere. `again`: at this very position, so it is a redelivery. `elsewhere`:
 * at another one, so it is a replay. `done`: at this position, and it was handled to its end. `full`: there is no room.
 */
export type Sighting = 'first' | 'again' | 'elsewhere' | 'done' | 'full'

/**
 * Remembers the identifiers of messages for as long as their time would still be accepted.
 *
 * `see` is one atomic step; two consumers that share a memory and see one message at two positions at the same moment
 * get `first` once. It never forgets early to make room: it answers `full`, and the consumer waits.
 */
export interface MessageMemory {
  /** `position` is empty where the broker has none; then every second sighting that it does not flag is `elsewhere`. */
  see(id: string, position: string, untilMs: number): Sighting | Promise<Sighting>
}

/** Options of {@link messageMemory}. */
export interface MessageMemoryOptions {
  /** Default: 1,000,000, about 200 MB when full: an hour at 270 messages a second. */
  readonly maxEntries?: number
  readonly clock?: Clock
}

/**
 * A memory within this process. It cannot see what other consumers of the same messages have seen: where they share
 * work, partitions keep a message with one consumer only until they move; use a shared memory there.
 */
export function messageMemory(options: MessageMemoryOptions = {}): MessageMemory {
  checkOptions<MessageMemoryOptions>('messageMemory', options, { maxEntries: true, clock: true })
  const { maxEntries = 1_000_000, clock } = options
  const seen = new BoundedCache<string, string>({ maxEntries, ...(clock !== undefined && { clock }) })
  return {
    see(id, position, untilMs) {
      const put = seen.putIfAbsent(id, position, untilMs)
      if (put === 'full') return 'full'
      if (put) return 'first'
      return position !== '' && seen.get(id) === position ? 'again' : 'elsewhere'
    },
  }
}
