/** What the examples print: each attempt, what came of it, and whether that is what it should be. */
let wrong = 0

/** Prints one line; the process ends with 1 if one of them was not as expected. */
export function show(attempt: string, seen: unknown, expected: unknown): void {
  const [is, shouldBe] = [text(seen), text(expected)]
  const ok = is === shouldBe
  if (!ok) process.exitCode = ++wrong > 0 ? 1 : 0
  console.log(`${ok ? 'ok   ' : 'WRONG'}  ${attempt.padEnd(58)}  ${is}${ok ? '' : `, expected ${shouldBe}`}`)
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value)
}
