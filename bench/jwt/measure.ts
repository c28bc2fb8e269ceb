/** One thing that is measured against others: `batch` does it so many times. */
export interface Variant {
  readonly name: string
  readonly batch: (times: number) => void | Promise<void>
}

/** What came out for a variant, in microseconds of processor time for one time, all threads of the process together. */
export interface Measured {
  readonly name: string
  readonly median: number
  /** Half the distance of the quartiles, as a share of the median. */
  readonly spread: number
  /** One figure a round. */
  readonly rounds: readonly number[]
}

/**
 * Measures variants in interleaved rounds, in a new order each, so that whatever else the machine does falls on all of
 * them; of each the median over the rounds. Processor time, since the clock on the wall measures the neighbours too. `roundMs` is about how long one variant runs in one round.
 */
export async function measure(
  variants: readonly Variant[],
  options: { readonly rounds: number; readonly roundMs: number },
): Promise<ReadonlyMap<string, Measured>> {
  const samples = new Map<Variant, number[]>()
  const times = new Map<Variant, number>()
  for (const variant of variants) {
    await timed(variant, 200)
    const each = await timed(variant, 200)
    times.set(variant, Math.max(10, Math.ceil((options.roundMs * 1_000) / each)))
    samples.set(variant, [])
  }
  for (let round = 0; round < options.rounds; round++) {
    for (const variant of shuffled(variants)) samples.get(variant)?.push(await timed(variant, times.get(variant) ?? 1))
  }
  return new Map(
    variants.map((variant) => {
      const rounds = samples.get(variant) ?? []
      const median = quantile(rounds, 0.5)
      return [variant.name, { name: variant.name, median, spread: (quantile(rounds, 0.75) - quantile(rounds, 0.25)) / 2 / median, rounds }]
    }),
  )
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

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

async function timed(variant: Variant, times: number): Promise<number> {
  const begin = process.cpuUsage()
  await variant.batch(times)
  const { user, system } = process.cpuUsage(begin)
  return (user + system) / times
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
