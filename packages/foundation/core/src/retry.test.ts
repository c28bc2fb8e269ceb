import { describe, expect, test, vi } from 'vitest'
import { AuthenticationError, SecurityError, UnavailableError } from './errors.ts'
import { backoffMs, maxRetryDelayMs, pause, retryDelayMs, retrying } from './retry.ts'

test('the wait doubles up to its longest, half of it by chance', () => {
  expect(backoffMs(0, 200, 30_000, () => 0)).toBe(100)
  expect(backoffMs(0, 200, 30_000, () => 1)).toBe(200)
  expect(backoffMs(3, 200, 30_000, () => 1)).toBe(1600)
  expect(backoffMs(10_000, 200, 30_000, () => 1)).toBe(30_000)
  expect(retryDelayMs(10_000)).toBeLessThanOrEqual(maxRetryDelayMs)
})

test('a pause ends when it is told to, and does not reject', async () => {
  const stopped = new AbortController()
  const pausing = pause(1_000_000, stopped.signal)
  stopped.abort(new Error('closing'))
  await expect(pausing).resolves.toBeUndefined()
  await expect(pause(1_000_000, AbortSignal.abort())).resolves.toBeUndefined()
})

describe('retrying', () => {
  const outage = new UnavailableError('ERR_TEST_DOWN', 'it is down')
  const refusal = new AuthenticationError('ERR_TEST_REFUSED', 'it says no')
  const run = retrying((error) => (error instanceof SecurityError ? error : outage))

  test('repeats what an outage ended, until it succeeds', async () => {
    const task = vi.fn<() => Promise<string>>().mockRejectedValueOnce(new Error('socket')).mockResolvedValueOnce('done')
    await expect(run(3, task)).resolves.toBe('done')
    expect(task).toHaveBeenCalledTimes(2)
  })

  test('throws what the last failure means', async () => {
    const task = vi.fn<() => Promise<string>>().mockRejectedValue(new Error('socket'))
    await expect(run(2, task)).rejects.toBe(outage)
    expect(task).toHaveBeenCalledTimes(2)
  })

  test('never repeats a refusal', async () => {
    const task = vi.fn<() => Promise<string>>().mockRejectedValue(refusal)
    await expect(run(9, task)).rejects.toBe(refusal)
    expect(task).toHaveBeenCalledTimes(1)
  })

  test('does not go on once it is told to stop', async () => {
    const stopped = new AbortController()
    const task = vi.fn<() => Promise<string>>(() => {
      stopped.abort()
      return Promise.reject(outage)
    })
    await expect(run(9, task, stopped.signal)).rejects.toBe(outage)
    expect(task).toHaveBeenCalledTimes(1)
  })

  test.each([0, Number.NaN, -1, 1.5e9])('takes no %s for a number of attempts', async (attempts) => {
    await expect(run(attempts, () => Promise.resolve('done'))).rejects.toMatchObject({ family: 'configuration' })
  })
})
