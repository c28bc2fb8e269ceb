import type { AuditEvent, DecisionEvent } from '@portcullis/core'

/** One thing that was tried. */
export interface Attempt {
  readonly what: string
  /** Guard and outcome of each hop, in order. */
  readonly expected: readonly string[]
  readonly events: readonly AuditEvent[]
  /** What came back. */
  readonly outcome: string
}

const header = ['', 'guard', 'protocol', 'mechanism', 'principal', 'decision', 'time']

/** Prints every hop of every attempt; returns how many were not as expected. */
export function printHops(attempts: readonly Attempt[]): number {
  const blocks = attempts.map(({ events, expected }) => {
    const hops = events.map(hopOf)
    const right = hops.length === expected.length && hops.every(({ short }, at) => short === expected[at])
    return { right, lines: hops.map(({ cells }, at) => [hops[at]?.short === expected[at] ? 'ok' : 'WRONG', ...cells]) }
  })
  const widths = header.map((title, column) =>
    Math.max(title.length, ...blocks.flatMap(({ lines }) => lines.map((line) => line[column]?.length ?? 0))),
  )
  const print = (cells: readonly string[]): void =>
    console.log(`  ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd())
  print(header)
  attempts.forEach(({ what, outcome, expected }, at) => {
    console.log(`\n${what}: ${outcome}`)
    for (const line of blocks[at]?.lines ?? []) print(line)
    if (blocks[at]?.right === false) console.log(`  WRONG: expected ${expected.join(', ')}`)
  })
  const wrong = blocks.filter(({ right }) => !right).length
  const hops = blocks.flatMap(({ lines }) => lines)
  const allowed = hops.filter((line) => line[5]?.startsWith('allow')).length
  console.log(
    `\n${attempts.length} attempts, ${hops.length} decisions: ${allowed} allowed, ${hops.length - allowed} refused; ${wrong === 0 ? 'all as expected' : `${wrong} attempts not as expected`}.`,
  )
  return wrong
}

function hopOf(event: AuditEvent): { readonly short: string; readonly cells: readonly string[] } {
  if (event.type !== 'decision')
    return {
      short: `${event.guard} ${event.type}`,
      cells: [
        event.guard,
        'protocol' in event ? (event.protocol ?? '') : '',
        'TLS',
        '-',
        `${event.type}${'code' in event ? ` (${event.code})` : ''}`,
        '',
      ],
    }
  const decision = event.outcome === 'allow' ? 'allow' : `${event.outcome} (${event.code})`
  return {
    short: `${event.guard} ${event.outcome}`,
    cells: [
      event.guard,
      event.protocol,
      mechanismOf(event),
      event.principal?.subject ?? '-',
      decision,
      `${event.durationMs.toFixed(2)} ms`,
    ],
  }
}

/** The leaf that proved the principal, or that refused it. */
function mechanismOf({ explanation }: DecisionEvent): string {
  const { leaves } = explanation
  return (leaves.find(({ outcome }) => outcome === 'proven') ?? leaves[0])?.leaf ?? '-'
}
