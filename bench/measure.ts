/** One thing that is measured against others: `batch` does it so many times. */
export interface Variant {
  readonly name: string
  readonly batch: (times: number) => void | Promise<void>
}

/** A variant that is done on the event loop, one time after the other. */
export function inline(name: string, once: () => unknown): Variant {
  return {
    name,
    batch(times) {
      for (let time = 0; time < times; time++) once()
    },
  }
}

/** A variant that may take its time, and is begun again only then. */
export function oneByOne(name: string, once: () => unknown): Variant {
  return {
    name,
    async batch(times) {
      for (let time = 0; time < times; time++) {
        const result = once()
        if (result instanceof Promise) await result
      }
    },
  }
}

/** What came out for a variant, in microseconds for one time. */
export interface Measured {
  readonly name: string
  readonly median: number
  /** Half the distance of the quartiles, as a share of the median. */
  readonly spread: number
  /** One figure a round. */
  readonly rounds: readonly number[]
}

/** How long to measure, and what. */
export interface MeasureOptions {
  readonly rounds: number
  /** About how long one variant runs in one round. */
  readonly roundMs: number
  /**
   * Processor time, all threads of the process together, unless somebody waits for something else than a processor: the
   * clock on the wall measures the neighbours too.
   */
  readonly time?: 'processor' | 'wall'
}

/** Measures variants in interleaved rounds, in a new order each, so that whatever else the machine does falls on all of them. */
export async function measure(variants: readonly Variant[], options: MeasureOptions): Promise<ReadonlyMap<string, Measured>> {
  const { rounds, roundMs, time = 'processor' } = options
  const samples = new Map(variants.map((variant) => [variant, [] as number[]]))
  const times = new Map<Variant, number>()
  for (const variant of variants) times.set(variant, await warmed(variant, roundMs))
  for (let round = 0; round < rounds; round++) {
    for (const variant of shuffled(variants)) samples.get(variant)?.push(await timed(variant, times.get(variant) ?? 1, time))
  }
  return new Map([...samples].map(([{ name }, taken]) => [name, { name, ...summary(taken), rounds: taken }]))
}

/** Runs a variant until the compiler has seen enough of it; returns how often it fits into a round. */
async function warmed(variant: Variant, roundMs: number): Promise<number> {
  for (let times = 1; ; times *= 2) {
    const us = (await timed(variant, times, 'wall')) * times
    if (us >= roundMs * 500) return Math.max(1, Math.round((times * roundMs * 1_000) / us))
  }
}

async function timed(variant: Variant, times: number, time: 'processor' | 'wall'): Promise<number> {
  const [begin, startedAt] = [process.cpuUsage(), performance.now()]
  await variant.batch(times)
  const { user, system } = process.cpuUsage(begin)
  return (time === 'wall' ? (performance.now() - startedAt) * 1_000 : user + system) / times
}

/** The median of samples, and half the distance of their quartiles as a share of it. */
export function summary(samples: readonly number[]): Pick<Measured, 'median' | 'spread'> {
  const median = quantile(samples, 0.5)
  return { median, spread: (quantile(samples, 0.75) - quantile(samples, 0.25)) / 2 / median }
}

/** The value below which this share of the samples is. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

/**
 * How many times as long `a` takes as `b`, with two digits: the median of what each round says, since what disturbs a
 * round disturbs both.
 */
export function ratio(measured: ReadonlyMap<string, Measured>, a: string, b: string): number {
  const others = measured.get(b)?.rounds ?? []
  const ratios = (measured.get(a)?.rounds ?? []).map((time, round) => time / (others[round] ?? Number.NaN))
  return Number(quantile(ratios, 0.5).toFixed(2))
}

/** In a new order each time. */
export function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

/** A time in the unit that suits it, and how far the rounds are apart: `12.3 µs (±4 %)`. */
export function withSpread({ median, spread }: Pick<Measured, 'median' | 'spread'> = summary([])): string {
  return `${readable(median)} (±${(spread * 100).toFixed(0)} %)`
}

/** A time in the unit that suits it. */
export function readable(microseconds: number): string {
  if (microseconds >= 10_000) return `${(microseconds / 1_000).toFixed(0)} ms`
  if (microseconds >= 1_000) return `${(microseconds / 1_000).toFixed(1)} ms`
  return microseconds >= 1 ? `${microseconds.toPrecision(3)} µs` : `${(microseconds * 1_000).toFixed(0)} ns`
}

/** How often in a second, if each takes so many microseconds. */
export function perSecond(microseconds = Number.NaN): string {
  return Number((1_000_000 / microseconds).toPrecision(3)).toLocaleString('en')
}
