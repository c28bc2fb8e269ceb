import { checkOptions, requireNumber, systemClock, UnavailableError, type Clock } from '@portcullis/core'
import type { StsErrorCode } from '../errors.ts'
import type { StateEntry, StsState } from './state.ts'

/** How {@link memoryState} is set up. */
export interface MemoryStateOptions {
  /** How many entries at most; further ones are refused as overload, and none is forgotten. Default: 100,000, some 50 MB. */
  readonly maxEntries?: number
  readonly clock?: Clock
}

interface Kept extends StateEntry {
  consumedAtMs?: number
}

const defaultMaxEntries = 100_000
// A sweep looks at every entry; a full store that is asked often does so once a second.
const sweepEveryMs = 1_000

/** Keeps the state of one token service in memory: it ends with the process, and with it every opaque and refresh token. */
export function memoryState(options: MemoryStateOptions = {}): StsState {
  checkOptions<MemoryStateOptions>('memoryState', options, { maxEntries: true, clock: true })
  const { clock = systemClock, maxEntries = defaultMaxEntries } = options
  requireNumber('memoryState maxEntries', maxEntries, { min: 1, max: 10_000_000 })
  const entries = new Map<string, Kept>()
  const families = new Map<string, Set<string>>()
  let sweptAtMs = Number.NEGATIVE_INFINITY

  const drop = (key: string): void => {
    const entry = entries.get(key)
    entries.delete(key)
    if (entry?.family === undefined) return
    const family = families.get(entry.family)
    family?.delete(key)
    if (family?.size === 0) families.delete(entry.family)
  }
  const find = (key: string): Kept | undefined => {
    const entry = entries.get(key)
    if (entry === undefined || entry.expiresAtMs > clock.now()) return entry
    drop(key)
    return undefined
  }
  const makeRoom = (): void => {
    if (entries.size < maxEntries) return
    const now = clock.now()
    if (now - sweptAtMs >= sweepEveryMs) {
      sweptAtMs = now
      for (const [key, entry] of entries) if (entry.expiresAtMs <= now) drop(key)
    }
    if (entries.size >= maxEntries)
      throw new UnavailableError<StsErrorCode>('ERR_STS_STATE_FULL', {
        message: `The memory of the token service holds ${maxEntries} entries.`,
        reason: 'overload',
        retryAfterMs: sweepEveryMs,
      })
  }
  const put = (key: string, entry: StateEntry): void => {
    drop(key)
    makeRoom()
    entries.set(key, { ...entry })
    if (entry.family === undefined) return
    const family = families.get(entry.family)
    if (family === undefined) families.set(entry.family, new Set([key]))
    else family.add(key)
  }
  return {
    name: 'memory',
    isShared: false,
    // oxlint-disable-next-line typescript/require-await -- an async function turns what it throws into a rejection
    put: async (key, entry) => put(key, entry),
    putIfAbsent: async (key, entry) => {
      if (find(key) !== undefined) return false
      put(key, entry)
      return true
    },
    get: async (key) => {
      const entry = find(key)
      if (entry === undefined) return undefined
      const { value, consumedAtMs } = entry
      return { value, ...(consumedAtMs !== undefined && { consumedAtMs }) }
    },
    consume: async (key) => {
      const entry = find(key)
      if (entry === undefined) return 'absent'
      if (entry.consumedAtMs !== undefined) return 'again'
      entry.consumedAtMs = clock.now()
      return 'first'
    },
    remove: async (key) => drop(key),
    removeFamily: async (family) => {
      for (const key of families.get(family) ?? []) drop(key)
    },
  }
}
