/** Mean times in microseconds of several operations, in interleaved rounds; the median round of each counts. */
export async function compare(
  operations: Readonly<Record<string, (at: number) => unknown>>,
  { rounds, count }: { readonly rounds: number; readonly count: number },
): Promise<ReadonlyMap<string, number>> {
  const times = new Map(Object.keys(operations).map((name) => [name, [] as number[]]))
  for (let round = -1; round < rounds; round++) {
    for (const [name, operation] of Object.entries(operations)) {
      const startedAt = performance.now()
      for (let at = 0; at < count; at++) {
        const result = operation(at)
        if (result instanceof Promise) await result
      }
      // The first round warms up.
      if (round >= 0) times.get(name)?.push(((performance.now() - startedAt) * 1000) / count)
    }
  }
  return new Map([...times].map(([name, list]) => [name, list.toSorted((a, b) => a - b)[list.length >> 1] ?? 0]))
}

/** Three digits. */
export function digits(value: number): string {
  return value >= 100 ? value.toFixed(0) : value.toPrecision(3)
}
