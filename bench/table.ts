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
