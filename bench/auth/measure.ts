/** Runs an operation until `milliseconds` are over, after a warm-up of a tenth; returns the median of its times in microseconds. */
export async function medianMicroseconds(milliseconds: number, operation: (round: number) => unknown): Promise<number> {
  for (const until = performance.now() + milliseconds / 10; performance.now() < until;) await operation(0)
  const times: number[] = []
  const end = performance.now() + milliseconds
  for (let round = 0; times.length === 0 || performance.now() < end; round++) {
    const begun = performance.now()
    await operation(round)
    times.push((performance.now() - begun) * 1000)
  }
  return times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0
}

/** The mean of many operations that are too short to be timed one by one, in microseconds; the best of five rounds. */
export async function meanMicroseconds(rounds: number, operation: (round: number) => unknown): Promise<number> {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 5; round++) {
    const begun = performance.now()
    for (let at = 0; at < rounds; at++) {
      const result = operation(at)
      if (result instanceof Promise) await result
    }
    best = Math.min(best, ((performance.now() - begun) * 1000) / rounds)
  }
  return best
}

/** A time in the unit that suits it. */
export function readable(microseconds: number): string {
  if (microseconds >= 10_000) return `${Math.round(microseconds / 1000)} ms`
  return microseconds >= 1000 ? `${(microseconds / 1000).toFixed(1)} ms` : `${microseconds.toFixed(1)} µs`
}

export function perSecond(microseconds: number): string {
  const rate = 1_000_000 / microseconds
  return rate >= 1000 ? `${Math.round(rate / 1000)} k` : rate.toFixed(rate < 10 ? 1 : 0)
}
