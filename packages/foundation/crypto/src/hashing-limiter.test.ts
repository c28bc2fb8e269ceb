import { availableParallelism } from 'node:os'
import { describe, expect, test } from 'vitest'
import { hashingLimiter, sharedHashingLimiter } from './hashing-limiter.ts'
import { refusal } from './openssl.test-support.ts'

/** Work that ends when it is told to, and tells when it began. */
function work() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  let hasBegun = false
  return {
    start: async () => {
      hasBegun = true
      return promise
    },
    get hasBegun() {
      return hasBegun
    },
    end: resolve,
    fail: reject,
  }
}

const settled = async () => new Promise((resolve) => setImmediate(resolve))

describe('concurrency and queue', () => {
  test('no more run at once than allowed, the rest wait in order', async () => {
    const limiter = hashingLimiter({ concurrency: 1, queue: 2, perSource: 3 })
    const jobs = [work(), work(), work()] as const
    const results = jobs.map(async (job) => limiter.run(job.start))
    await settled()
    expect(jobs.map((job) => job.hasBegun)).toEqual([true, false, false])
    expect([limiter.running, limiter.waiting]).toEqual([1, 2])
    jobs[0].end('a')
    await settled()
    expect(jobs.map((job) => job.hasBegun)).toEqual([true, true, false])
    jobs[1].end('b')
    jobs[2].end('c')
    expect(await Promise.all(results)).toEqual(['a', 'b', 'c'])
    expect([limiter.running, limiter.waiting]).toEqual([0, 0])
  })

  test('a full queue is overload, at once', async () => {
    const limiter = hashingLimiter({ concurrency: 1, queue: 1, perSource: 2 })
    const jobs = [work(), work(), work()] as const
    const first = limiter.run(jobs[0].start)
    const second = limiter.run(jobs[1].start)
    const error = await refusal('ERR_CRYPTO_HASHING_OVERLOADED', async () => limiter.run(jobs[2].start))
    expect(error).toMatchObject({ family: 'unavailable', reason: 'overload' })
    expect(error.retryAfterMs).toBeGreaterThan(0)
    expect(jobs[2].hasBegun).toBe(false)
    jobs[0].end('a')
    jobs[1].end('b')
    expect(await Promise.all([first, second])).toEqual(['a', 'b'])
    expect(await limiter.run(async () => 'again')).toBe('again')
  })

  test('without a queue', async () => {
    const limiter = hashingLimiter({ concurrency: 1, queue: 0 })
    const job = work()
    const first = limiter.run(job.start)
    await refusal('ERR_CRYPTO_HASHING_OVERLOADED', async () => limiter.run(async () => 'x'))
    job.end('a')
    await first
  })

  test('work that fails gives its place back', async () => {
    const limiter = hashingLimiter({ concurrency: 1, queue: 1 })
    const [first, second] = [work(), work()]
    const failing = limiter.run(first.start, { source: 'a' })
    const following = limiter.run(second.start, { source: 'b' })
    first.fail(new Error('broken'))
    await expect(failing).rejects.toThrow('broken')
    second.end('b')
    expect(await following).toBe('b')
    await expect(
      limiter.run(() => {
        throw new Error('at once')
      }),
    ).rejects.toThrow('at once')
    expect([limiter.running, limiter.waiting]).toEqual([0, 0])
  })
})

describe('the share of a source', () => {
  test('one source cannot fill the queue for others', async () => {
    const limiter = hashingLimiter({ concurrency: 1, queue: 7 })
    const flood = [work(), work(), work()] as const
    const accepted = flood.slice(0, 2).map(async (job) => limiter.run(job.start, { source: '192.0.2.1' }))
    const error = await refusal('ERR_CRYPTO_HASHING_OVERLOADED', async () => limiter.run(flood[2].start, { source: '192.0.2.1' }))
    expect(error.message).toContain('source')
    const other = limiter.run(async () => 'other', { source: '192.0.2.2' })
    for (const job of flood) job.end('x')
    expect(await other).toBe('other')
    await Promise.all(accepted)
    expect(await limiter.run(async () => 'again', { source: '192.0.2.1' })).toBe('again')
  })

  test('work for nobody has no share', async () => {
    const limiter = hashingLimiter({ concurrency: 1, queue: 3, perSource: 1 })
    expect(await Promise.all([1, 2, 3, 4].map(async (n) => limiter.run(async () => n)))).toEqual([1, 2, 3, 4])
  })

  test('an empty source is a mistake', async () => {
    await refusal('ERR_CRYPTO_OPTION_INVALID', async () => hashingLimiter().run(async () => 1, { source: '' }))
  })
})

describe('abort', () => {
  test('takes waiting work out, with its place and share', async () => {
    const limiter = hashingLimiter({ concurrency: 1, queue: 1, perSource: 1 })
    const job = work()
    const first = limiter.run(job.start)
    const controller = new AbortController()
    const waiting = limiter.run(async () => 'never', { source: 'a', signal: controller.signal })
    controller.abort(new Error('gone'))
    await expect(waiting).rejects.toThrow('gone')
    expect(limiter.waiting).toBe(0)
    const next = limiter.run(async () => 'next', { source: 'a' })
    job.end('a')
    expect(await Promise.all([first, next])).toEqual(['a', 'next'])
  })

  test('an aborted signal does nothing', async () => {
    await expect(hashingLimiter().run(async () => 'x', { signal: AbortSignal.abort(new Error('gone')) })).rejects.toThrow('gone')
  })

  test('what runs is not stopped', async () => {
    const limiter = hashingLimiter({ concurrency: 1 })
    const job = work()
    const controller = new AbortController()
    const running = limiter.run(job.start, { signal: controller.signal })
    controller.abort()
    job.end('done')
    expect(await running).toBe('done')
  })
})

describe('options', () => {
  test('never more at once than cores, or than the thread pool can spare', async () => {
    const most = Math.min(availableParallelism(), 2)
    await refusal('ERR_CRYPTO_OPTION_INVALID', () => hashingLimiter({ concurrency: most + 1 }))
    for (const bad of [{ concurrency: 0 }, { queue: -1 }, { queue: Number.NaN }, { perSource: 0 }, { queue: 1.5 }]) {
      await refusal('ERR_CRYPTO_OPTION_INVALID', () => hashingLimiter(bad))
    }
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', () => hashingLimiter({ concurency: 1 } as never))
    await refusal('ERR_CRYPTO_OPTION_UNKNOWN', async () => hashingLimiter().run(async () => 1, { sorce: 'x' } as never))
  })

  test('one for the whole process', () => {
    expect(sharedHashingLimiter()).toBe(sharedHashingLimiter())
  })
})
