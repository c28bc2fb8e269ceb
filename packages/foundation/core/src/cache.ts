import { systemClock, type Clock } from './clock.ts'
import { requireNumber } from './options.ts'

// As long as a caller is asked to wait who found it full.
const sweepPauseMs = 1_000

interface Entry<K, V> {
  readonly key: K
  readonly value: V
  readonly expiresAtMs: number
}

/**
 * A map that cannot grow beyond `maxEntries` and forgets each entry at its own time.
 *
 * When it is full, the entry that was used least recently goes first, expired or not. Expiry is looked at on each
 * {@link get}; nothing runs in the background. Keys that a peer chose should be digests of one length.
 */
export class BoundedCache<K, V> {
  readonly #entries = new Map<K, Entry<K, V>>()
  readonly #maxEntries: number
  readonly #clock: Clock
  // Iterators that go on where they were: a fresh one steps over every hole that deletions left at the front.
  #oldest: MapIterator<K> | undefined
  #hand: MapIterator<Entry<K, V>> | undefined
  #sweptAtMs = Number.NEGATIVE_INFINITY

  constructor(options: { readonly maxEntries: number; readonly clock?: Clock }) {
    // Map itself ends at 2^24 entries.
    this.#maxEntries = requireNumber('BoundedCache maxEntries', options.maxEntries, { min: 1, max: 16_000_000 })
    this.#clock = options.clock ?? systemClock
  }

  /** The value, if it is there and its time is not over. */
  get(key: K): V | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    this.#entries.delete(key)
    if (entry.expiresAtMs <= this.#clock.now()) return undefined
    this.#entries.set(key, entry)
    return entry.value
  }

  /** Keeps a value until `expiresAtMs` (since the epoch). */
  set(key: K, value: V, expiresAtMs: number): void {
    this.#entries.delete(key)
    if (this.#entries.size >= this.#maxEntries) this.#evict()
    this.#entries.set(key, { key, value, expiresAtMs })
  }

  /**
   * Keeps a value unless the key is there already and in its time: one step, for replay checks. Returns `false` if it
   * was there, and `'full'` where there is no room: what must not be forgotten is refused rather than evicted.
   */
  putIfAbsent(key: K, value: V, expiresAtMs: number): boolean | 'full' {
    const now = this.#clock.now()
    const present = this.#entries.get(key)
    if (present !== undefined && present.expiresAtMs > now) return false
    this.#tidy(now)
    if (present === undefined && this.#entries.size >= this.#maxEntries && !this.#sweep(now)) return 'full'
    this.#entries.set(key, { key, value, expiresAtMs })
    return true
  }

  /** Puts out the oldest. All before the iterator were put out by it or moved to the end by a use. */
  #evict(): void {
    let next = this.#oldest?.next()
    if (next === undefined || next.done === true) next = (this.#oldest = this.#entries.keys()).next()
    if (next.done !== true) this.#entries.delete(next.value)
  }

  /** Looks at two entries for each that comes, so that what is over goes in time, and never all of it at once. */
  #tidy(now: number): void {
    for (let looked = 0; looked < 2; looked++) {
      const next = (this.#hand ??= this.#entries.values()).next()
      if (next.done === true) return void (this.#hand = undefined)
      if (next.value.expiresAtMs <= now) this.#entries.delete(next.value.key)
    }
  }

  /** Whether there is room after a look at all of them; once a second, for a flood would have it looked for with each. */
  #sweep(now: number): boolean {
    if (now >= this.#sweptAtMs && now - this.#sweptAtMs < sweepPauseMs) return false
    this.#sweptAtMs = now
    for (const [key, entry] of this.#entries) if (entry.expiresAtMs <= now) this.#entries.delete(key)
    return this.#entries.size < this.#maxEntries
  }

  delete(key: K): boolean {
    return this.#entries.delete(key)
  }

  clear(): void {
    this.#entries.clear()
  }

  /** How many entries it holds, those included whose time is over and that nobody has asked for since. */
  get size(): number {
    return this.#entries.size
  }
}

/**
 * Lets concurrent callers that would ask the same share one answer.
 *
 * The key must say all that the answer depends on. A caller's abort fails that caller alone; the work itself is
 * aborted when the last caller has gone. A failure reaches all who wait and is not kept.
 */
export class SingleFlight<K, V> {
  readonly #flights = new Map<K, { readonly promise: Promise<V>; readonly abort: AbortController; waiting: number }>()

  run(key: K, work: (signal: AbortSignal) => Promise<V>, signal?: AbortSignal): Promise<V> {
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    let flight = this.#flights.get(key)
    if (flight === undefined) {
      const abort = new AbortController()
      const promise = (async () => work(abort.signal))()
      const started = { promise, abort, waiting: 0 }
      flight = started
      this.#flights.set(key, started)
      const landed = (): void => {
        if (this.#flights.get(key) === started) this.#flights.delete(key)
      }
      promise.then(landed, landed)
    }
    return this.#wait(key, flight, signal)
  }

  /** How many different pieces of work are under way. */
  get size(): number {
    return this.#flights.size
  }

  #wait(
    key: K,
    flight: { readonly promise: Promise<V>; readonly abort: AbortController; waiting: number },
    signal: AbortSignal | undefined,
  ): Promise<V> {
    flight.waiting++
    if (signal === undefined) return flight.promise
    return new Promise<V>((resolve, reject) => {
      const leave = (): void => {
        reject(signal.reason)
        if (--flight.waiting > 0) return
        // Nobody wants the answer any more; who comes next starts anew rather than joining an aborted flight.
        if (this.#flights.get(key) === flight) this.#flights.delete(key)
        flight.abort.abort(signal.reason)
      }
      signal.addEventListener('abort', leave, { once: true })
      flight.promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave))
    })
  }
}
