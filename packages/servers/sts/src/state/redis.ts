/**
 * `@portcullis/sts/redis`: keeps the state of token services in Redis, so that several instances are one service.
 *
 * It is as durable as that Redis: run it with `appendonly yes`, and `maxmemory-policy noeviction`. A replica that takes
 * over may not have heard of the last refresh tokens that were used; where that matters take `@portcullis/sts/postgres`.
 */
import { checkOptions, ConfigurationError, requireText } from '@portcullis/core'
import type { StsState } from './state.ts'

/** What is needed of a client of the package `redis`, which is connected already. */
export interface RedisCommands {
  sendCommand(command: readonly string[]): Promise<unknown>
}

/** How {@link redisState} is set up. */
export interface RedisStateOptions {
  /** A connected client, with TLS and credentials as its owner set them. Whoever made it closes it. */
  readonly client: RedisCommands
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
  checkOptions<RedisStateOptions>('redisState', options, { client: true, prefix: true })
  const { client } = options
  const prefix = requireText('redisState prefix', options.prefix ?? 'portcullis:sts:')
  if (typeof client?.sendCommand !== 'function')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'redisState client is a connected client of the package redis.')
  const run = (script: keyof typeof scripts, keys: readonly string[], values: readonly string[] = []): Promise<unknown> =>
    client.sendCommand(['EVAL', scripts[script], String(keys.length), ...keys, ...values])
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
      const fields = (await client.sendCommand(['HMGET', keyOf(key), 'v', 'c'])) as readonly (string | null)[]
      const [value, consumed] = fields
      if (typeof value !== 'string') return undefined
      return { value, ...(typeof consumed === 'string' && { consumedAtMs: Number(consumed) }) }
    },
    consume: async (key) => {
      const answer = Number(await run('consume', [keyOf(key)], [String(Date.now())]))
      return answer === 1 ? 'first' : answer === 0 ? 'again' : 'absent'
    },
    remove: async (key) => void (await client.sendCommand(['DEL', keyOf(key)])),
    removeFamily: async (family) => void (await run('removeFamily', [familyOf(family)])),
  }
}
