import { BoundedCache, checkOptions, requireFunction, requireNumber, requireText, systemClock, UnavailableError } from '@portcullis/core'
import { outage, type OAuth2ErrorCode } from './errors.ts'

/** Remembers what must not come twice. Made by {@link memoryReplayStore} and {@link redisReplayStore}, or yours. */
export interface ReplayStore {
  /**
   * Keeps `key` until a time, in one atomic step: `true` if it was not there, `false` if it was. It throws an
   * `UnavailableError` where it has no room or cannot tell, and never forgets a key before its time. Times are in
   * milliseconds since the epoch, by the clock of whoever asks.
   */
  putIfAbsent(key: string, times: { readonly nowMs: number; readonly expiresAtMs: number }): boolean | Promise<boolean>
}

// At some 150 bytes each, 15 MB; with proofs that live for a minute, 1,600 requests a second.
const defaultMaxEntries = 100_000

/**
 * Keeps them in memory. **One process cannot see what another has taken**: behind a load balancer a proof can be used
 * once with each. Use {@link redisReplayStore} there. When it is full it answers `ERR_DPOP_REPLAYS_FULL` (overload).
 */
export function memoryReplayStore(options: { readonly maxEntries?: number } = {}): ReplayStore {
  checkOptions<{ maxEntries?: number }>('memoryReplayStore', options, { maxEntries: true })
  const { maxEntries = defaultMaxEntries } = options
  let time = 0
  const taken = new BoundedCache<string, true>({ maxEntries, clock: { ...systemClock, now: () => time } })
  return Object.freeze({
    putIfAbsent(key: string, { nowMs, expiresAtMs }: Parameters<ReplayStore['putIfAbsent']>[1]) {
      time = nowMs
      const put = taken.putIfAbsent(key, true, expiresAtMs)
      if (put !== 'full') return put
      throw new UnavailableError<OAuth2ErrorCode>('ERR_DPOP_REPLAYS_FULL', {
        message: `${maxEntries} proofs are remembered already.`,
        reason: 'overload',
        retryAfterMs: 1_000,
      })
    },
  })
}

/** How {@link redisReplayStore} is set up. */
export interface RedisReplayStoreOptions {
  /**
   * Sends one command, with whatever client you have: `(command) => client.sendCommand([...command])` for `redis`,
   * `([name = '', ...rest]) => client.call(name, ...rest)` for `ioredis`; replies as text. The connection, its TLS and its credentials are the client's.
   */
  readonly command: (command: readonly string[]) => Promise<unknown>
  /** Before each key. Default: `portcullis:proof:`. */
  readonly prefix?: string
  /** How long Redis may take, in milliseconds. Default: 1,000; then the request is `unavailable`. */
  readonly timeoutMs?: number
}

/**
 * Keeps them in Redis, for all instances of a service. Needs Redis 2.6.12 or later with `maxmemory-policy noeviction`,
 * since another policy forgets; asynchronous replication may lose what was taken in the moment of a fail-over.
 */
export function redisReplayStore(options: RedisReplayStoreOptions): ReplayStore {
  checkOptions<RedisReplayStoreOptions>('redisReplayStore', options, { command: true, prefix: true, timeoutMs: true })
  const command = requireFunction('redisReplayStore command', options.command)
  const prefix = options.prefix === undefined ? 'portcullis:proof:' : requireText('redisReplayStore prefix', options.prefix)
  const timeoutMs = requireNumber('redisReplayStore timeoutMs', options.timeoutMs ?? 1_000, { min: 1, max: 60_000 })
  return Object.freeze({
    async putIfAbsent(key: string, { nowMs, expiresAtMs }: Parameters<ReplayStore['putIfAbsent']>[1]) {
      const livesMs = Math.max(1, Math.ceil(expiresAtMs - nowMs))
      let reply: unknown
      try {
        reply = await inTime(command(['SET', `${prefix}${key}`, '1', 'NX', 'PX', String(livesMs)]), timeoutMs)
      } catch (cause) {
        throw outage('ERR_DPOP_REPLAYS_UNAVAILABLE', 'Redis could not be asked whether a proof was used before.', cause)
      }
      if (reply === null) return false
      if (reply === 'OK') return true
      throw outage('ERR_DPOP_REPLAYS_UNAVAILABLE', 'Redis answered SET NX with neither OK nor nothing.')
    },
  })
}

async function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`There was no answer within ${timeoutMs} ms.`)), timeoutMs)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}
