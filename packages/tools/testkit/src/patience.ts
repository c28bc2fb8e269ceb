/** How long something may take that must happen, in milliseconds: long enough for a busy machine, short enough to notice a hang. */
export const patienceMs = 5_000

/** The promise's value, or a failure that says what did not happen in time. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new TooLate(`${what} did not happen within ${patienceMs} ms`)), patienceMs)
  })
  try {
    return await Promise.race([promise, tooLate])
  } finally {
    clearTimeout(timer)
  }
}

/** Resolves as soon as the condition holds; fails with what did not happen in time. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const endMs = performance.now() + patienceMs
  while (!holds()) {
    if (performance.now() > endMs) throw new TooLate(`${what} did not happen within ${patienceMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}

/** Something that must happen did not; never taken for an outcome. */
export class TooLate extends Error {
  override readonly name = 'TooLate'
}
