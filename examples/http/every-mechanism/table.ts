/** One call, as the audit trail of the service has it. */
export interface Row {
  readonly shows: string
  readonly call: string
  readonly mechanism: string
  readonly principal: string
  readonly decision: string
  readonly status: number
  readonly expected: number
  readonly durationMs: number
}

/** Prints the calls and whether each came out as expected; returns whether all did. */
export function printTable(rows: readonly Row[]): boolean {
  const header = ['', 'what it shows', 'call', 'credential', 'principal', 'decision', 'status', 'time']
  const lines = rows.map((row) => [
    row.status === row.expected ? 'ok' : 'WRONG',
    row.shows,
    row.call,
    row.mechanism,
    row.principal,
    row.decision,
    row.status === row.expected ? String(row.status) : `${row.status}, expected ${row.expected}`,
    `${row.durationMs.toFixed(2)} ms`,
  ])
  const widths = header.map((title, column) => Math.max(title.length, ...lines.map((line) => line[column]?.length ?? 0)))
  for (const line of [header, ...lines])
    console.log(
      line
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  const wrong = rows.filter((row) => row.status !== row.expected).length
  const allowed = rows.filter((row) => row.status < 400).length
  console.log(
    `\n${allowed} allowed, ${rows.length - allowed} refused; ${wrong === 0 ? 'every decision as expected' : `${wrong} not as expected`}.`,
  )
  return wrong === 0
}
