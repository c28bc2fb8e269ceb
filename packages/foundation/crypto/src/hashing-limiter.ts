import { availableParallelism } from 'node:os'
import { CryptoError } from './errors.ts'
import { checkOptions, invalid, wholeNumber } from './options.ts'

/** The bounds of a {@link HashingLimiter}. */
export interface HashingLimiterOptions {
  /**
   * How many run at once. Default and most: the number of cores, and two less than the runtime's thread pool
   * (`UV_THREADPOOL_SIZE`, 4), so that hashing never starves files, name look-ups and signature checks.
   */
  readonly concurrency?: number | undefined
  /** How many may wait. Default 32: at the default cost some three seconds, after which a caller has given up. */
  readonly queue?: number | undefined
  /** How many of those that run and wait may come from one source. Default: a quarter of all places, at least one. */
  readonly perSource?: number | undefined
}

/** Whom work is done for. */
export interface HashingRequest {
  /**
   * Who asks, such as the address of the peer (for IPv6 its network, since a peer has many addresses). Without it the
   * work counts for no share: for work that no peer can cause.
   */
  readonly source?: string | undefined
  /** Takes the work out of the queue; what already runs is not stopped. */
  readonly signal?: AbortSignal | undefined
}

/** Bounds the password hashing that goes on at once, and what waits for it. */
export interface HashingLimiter {
  /** How many run at the moment. */
  readonly running: number
  /** How many wait at the moment. */
  readonly waiting: number
  /**
   * Does the work when there is room. Throws `ERR_CRYPTO_HASHING_OVERLOADED` at once if the queue or the share of the
   * source is full, and the reason of the signal if it is aborted while waiting.
   */
  run<T>(work: () => Promise<T>, request?: HashingRequest): Promise<T>
}

// Beyond this, whoever waits has gone long before.
const maxQueue = 10_000
// A guess at one place becoming free, for Retry-After.
const retryAfterMs = 1000

/** Makes a limiter. Most need only one for the process: {@link sharedHashingLimiter}. */
export function hashingLimiter(options: HashingLimiterOptions = {}): HashingLimiter {
  checkOptions('hashingLimiter()', options, { concurrency: true, queue: true, perSource: true })
  const most = mostAtOnce()
  const concurrency = wholeNumber('The concurrency of hashingLimiter()', options.concurrency ?? most, 1, most)
  const queue = wholeNumber('The queue of hashingLimiter()', options.queue ?? 32, 0, maxQueue)
  const places = concurrency + queue
  const share = Math.max(1, Math.floor(places / 4))
  const perSource = wholeNumber('The share per source of hashingLimiter()', options.perSource ?? share, 1, places)
  return new Limiter(concurrency, queue, perSource)
}

/** The limiter that all password hashing of the process goes through unless told otherwise; one for all copies of this package. */
export function sharedHashingLimiter(): HashingLimiter {
  const registry = globalThis as { [shared]?: HashingLimiter }
  registry[shared] ??= hashingLimiter()
  return registry[shared]
}

const shared = Symbol.for('portcullis.crypto.hashing-limiter')

class Limiter implements HashingLimiter {
  readonly #concurrency: number
  readonly #queue: number
  readonly #perSource: number
  readonly #waiting = new Set<() => void>()
  /** How many each source has running and waiting; a source without any is not in it. */
  readonly #shares = new Map<string, number>()
  #running = 0

  constructor(concurrency: number, queue: number, perSource: number) {
    this.#concurrency = concurrency
    this.#queue = queue
    this.#perSource = perSource
  }

  get running(): number {
    return this.#running
  }

  get waiting(): number {
    return this.#waiting.size
  }

  async run<T>(work: () => Promise<T>, request: HashingRequest = {}): Promise<T> {
    checkOptions('A hashing request', request, { source: true, signal: true })
    const { source, signal } = request
    if (source === '') throw invalid('The source of a hashing request must not be empty.')
    signal?.throwIfAborted()
    const held = source === undefined ? 0 : (this.#shares.get(source) ?? 0)
    if (held >= this.#perSource) throw overloaded('The share of this source is full.')
    if (this.#running >= this.#concurrency && this.#waiting.size >= this.#queue) throw overloaded('The queue is full.')
    if (source !== undefined) this.#shares.set(source, held + 1)
    try {
      // Who finds others waiting gets in line behind them, even if a place has just become free.
      if (this.#running < this.#concurrency) this.#running++
      else await this.#turn(signal)
      try {
        return await work()
      } finally {
        this.#next()
      }
    } finally {
      if (source !== undefined) this.#leave(source)
    }
  }

  /** Waits for a place, which the one that leaves hands over without giving it up. */
  async #turn(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        this.#waiting.delete(enter)
        reject(signal?.reason)
      }
      const enter = () => {
        signal?.removeEventListener('abort', onAbort)
        resolve()
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#waiting.add(enter)
    })
  }

  #next(): void {
    const [enter] = this.#waiting
    if (enter === undefined) {
      this.#running--
      return
    }
    this.#waiting.delete(enter)
    enter()
  }

  #leave(source: string): void {
    const held = (this.#shares.get(source) ?? 0) - 1
    if (held > 0) this.#shares.set(source, held)
    else this.#shares.delete(source)
  }
}

function mostAtOnce(): number {
  const configured = Number(process.env['UV_THREADPOOL_SIZE'])
  const defaultPool = 4
  const pool = Number.isInteger(configured) && configured > 0 ? configured : defaultPool
  return Math.max(1, Math.min(availableParallelism(), pool - 2))
}

function overloaded(message: string): CryptoError {
  return new CryptoError('ERR_CRYPTO_HASHING_OVERLOADED', `${message} Password hashing is bounded.`, { retryAfterMs })
}
