/**
 * `@portcullis/sts/redis`: keeps the state of token services in Redis, so that several instances are one service.
 *
 * It is as durable as that Redis: run it with `appendonly yes`, and `maxmemory-policy noeviction`. A replica that takes
 * over may not have heard of the last refresh tokens that were used; where that matters take `@portcullis/sts/postgres`.
 */
import { checkOptions, requireFunction, requireText } from '@portcullis/core'
import type { StsState } from './state.ts'

/** How {@link redisState} is set up. */
export interface RedisStateOptions {
  /** Sends a command over a connection of its owner's, with TLS and credentials: `(command) => client.sendCommand([...command])`. */
  readonly command: (command: readonly string[]) => Promise<unknown>
  /** Before every key. Default: `portcullis:sts:`. */
  readonly prefix?: string
}

// Each is one step for all instances: Redis runs a script alone. Families are sets of keys that live as long as the
// longest of their entries.
const scripts = {
  put: `redis.call('DEL', KEYS[1])
    redis.call('HSET', KEYS[1], 'v', ARGV[1])
    redis.call('PEXPIREAT', KEYS[1], ARGV[2])
    if KEYS[2] then
      redis.call('SADD', KEYS[2], KEYS[1])
      if redis.call('PEXPIRETIME', KEYS[2]) < tonumber(ARGV[2]) then redis.call('PEXPIREAT', KEYS[2], ARGV[2]) end
    end`,
  putIfAbsent: `if redis.call('HSETNX', KEYS[1], 'v', ARGV[1]) == 0 then return 0 end
    redis.call('PEXPIREAT', KEYS[1], ARGV[2])
    return 1`,
  consume: `if redis.call('EXISTS', KEYS[1]) == 0 then return -1 end
    return redis.call('HSETNX', KEYS[1], 'c', ARGV[1])`,
  removeFamily: `for _, key in ipairs(redis.call('SMEMBERS', KEYS[1])) do redis.call('DEL', key) end
    redis.call('DEL', KEYS[1])`,
} as const

/**
 * Keeps the state in Redis 7 or later, one node or one primary; not in a cluster, where a family would lie on several
 * nodes. The clocks of instances and of Redis should agree to the second, since entries end by the time of Redis.
 */
export function redisState(options: RedisStateOptions): StsState {
  checkOptions<RedisStateOptions>('redisState', options, { command: true, prefix: true })
  const command = requireFunction('redisState command', options.command)
  const prefix = requireText('redisState prefix', options.prefix ?? 'portcullis:sts:')
  const run = (script: keyof typeof scripts, keys: readonly string[], values: readonly string[] = []): Promise<unknown> =>
    command(['EVAL', scripts[script], String(keys.length), ...keys, ...values])
  const keyOf = (key: string): string => `${prefix}${key}`
  const familyOf = (family: string): string => `${prefix}family:${family}`
  return {
    name: `redis ${prefix}`,
    isShared: true,
    put: async (key, { family, value, expiresAtMs }) => {
      const keys = family === undefined ? [keyOf(key)] : [keyOf(key), familyOf(family)]
      await run('put', keys, [value, String(Math.ceil(expiresAtMs))])
    },
    putIfAbsent: async (key, { value, expiresAtMs }) =>
      Number(await run('putIfAbsent', [keyOf(key)], [value, String(Math.ceil(expiresAtMs))])) === 1,
    get: async (key) => {
      const fields = (await command(['HMGET', keyOf(key), 'v', 'c'])) as readonly (string | null)[]
      const [value, consumed] = fields
      if (typeof value !== 'string') return undefined
      return { value, ...(typeof consumed === 'string' && { consumedAtMs: Number(consumed) }) }
    },
    consume: async (key) => {
      const answer = Number(await run('consume', [keyOf(key)], [String(Date.now())]))
      return answer === 1 ? 'first' : answer === 0 ? 'again' : 'absent'
    },
    remove: async (key) => void (await command(['DEL', keyOf(key)])),
    removeFamily: async (family) => void (await run('removeFamily', [familyOf(family)])),
  }
}
