/** The matrix of protocols and scenarios, as text. */
import { scenarioIds, scenarios } from '@portcullis/testkit'

/** What came of one scenario with one adapter. */
export type Cell =
  | { readonly outcome: 'passed' | 'failed'; readonly because?: never }
  | { readonly outcome: 'refused'; readonly because: string }

/** By adapter, then by scenario. */
export type Matrix = ReadonlyMap<string, ReadonlyMap<string, Cell>>

const signs: Readonly<Record<Cell['outcome'], string>> = { passed: '✓', failed: '✗', refused: '–' }

/** How often each outcome stands in the matrix; a hole is a scenario that an adapter was not asked. */
export function countOf(matrix: Matrix): Readonly<Record<Cell['outcome'] | 'hole', number>> {
  const count = { passed: 0, failed: 0, refused: 0, hole: 0 }
  for (const cells of matrix.values()) for (const id of scenarioIds) count[cells.get(id)?.outcome ?? 'hole']++
  return count
}

const signOf = (cell: Cell | undefined): string => (cell === undefined ? '' : signs[cell.outcome])

/** The matrix for a terminal. */
export function asText(matrix: Matrix): string {
  const width = Math.max(...scenarioIds.map((id) => id.length))
  const row = (name: string, cells: readonly string[]): string => [name.padEnd(width), ...cells].join('  ').trimEnd()
  const adapters = [...matrix.keys()].toSorted()
  const lines = scenarioIds.map((id) =>
    row(
      id,
      adapters.map((adapter) => signOf(matrix.get(adapter)?.get(id)).padEnd(adapter.length)),
    ),
  )
  return [row('', adapters), ...lines].join('\n')
}

/** The matrix as a page of the documentation, with the reason of every refusal below it. */
export function asMarkdown(matrix: Matrix): string {
  const adapters = [...matrix.keys()].toSorted()
  const reasons: string[] = []
  const cellOf = (adapter: string, id: string): string => {
    const cell = matrix.get(adapter)?.get(id)
    if (cell?.outcome !== 'refused') return signOf(cell)
    const reason = `${adapter}: ${cell.because}.`
    if (!reasons.includes(reason)) reasons.push(reason)
    return `${signOf(cell)} (${reasons.indexOf(reason) + 1})`
  }
  const rows = scenarioIds.map((id) => [`\`${id}\``, scenarios[id].title, ...adapters.map((adapter) => cellOf(adapter, id))])
  const table = [['scenario', 'what must be', ...adapters], ['---', '---', ...adapters.map(() => ':-:')], ...rows].map(
    (cells) => `| ${cells.join(' | ')} |`,
  )
  return `# Conformance

What every adapter does in every scenario of \`@portcullis/testkit\`, over real sockets. Written by \`pnpm --filter @portcullis/test-conformance matrix\`; do not edit.

✓ as it must be. – the protocol excludes it, for the reason below; it was tried, and refused. ✗ a failure. An empty cell was not asked.

${table.join('\n')}

${reasons.map((reason, at) => `${at + 1}. ${reason}`).join('\n')}
`
}
