/** What a benchmark gives to the runner, which prints it and writes it as Markdown. */
export interface Table {
  readonly title: string
  /** How it was measured, and what follows. */
  readonly note?: string
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | number)[])[]
}

/** How long to measure: `quick` shows that it runs, and its figures are rough. */
export interface RunOptions {
  readonly quick: boolean
}

/** The table as Markdown. */
export function markdownOf({ title, note, columns, rows }: Table): string {
  const line = (cells: readonly (string | number)[]): string =>
    `| ${cells.map((cell) => String(cell).replaceAll('|', '\\|')).join(' | ')} |`
  return [
    `## ${title}`,
    ...(note === undefined ? [] : ['', note]),
    '',
    line(columns),
    line(columns.map(() => '---')),
    ...rows.map(line),
  ].join('\n')
}

/** Prints the table in columns. */
export function printTable({ title, note, columns, rows }: Table): void {
  const lines = [columns, ...rows].map((row) => row.map(String))
  const widths = columns.map((_, column) => Math.max(...lines.map((row) => row[column]?.length ?? 0)))
  console.log(`\n${title}`)
  for (const row of lines)
    console.log(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
  if (note !== undefined) console.log(note)
}
