import { createInterface } from 'node:readline/promises'
import { parseArgs } from 'node:util'
import { provision } from './provision.ts'
import { type ToolName, buildTools, tools } from './tools.ts'

const { values, positionals } = parseArgs({ options: { strict: { type: 'boolean', default: false } }, allowPositionals: true })

const unknown = positionals.filter((name) => !Object.hasOwn(tools, name))
if (unknown.length > 0) {
  process.stderr.write(`unknown: ${unknown.join(', ')}. Known: ${Object.keys(tools).join(', ')}\n`)
  process.exit(2)
}

const started = performance.now()
const reports = await provision({
  ...(positionals.length > 0 && { only: positionals as ToolName[] }),
  progress: (line) => process.stdout.write(`${line}\n`),
  confirm: askOnTerminal,
})

// A build tool is of interest only while something has yet to be built with it.
const incomplete = reports.filter((report) => report.state !== 'present' && !buildTools.has(report.name))
const seconds = ((performance.now() - started) / 1000).toFixed(1)
if (incomplete.length === 0) {
  process.stdout.write(
    `servers and foreign clients: all ${reports.filter((report) => !buildTools.has(report.name)).length} present (${seconds} s)\n`,
  )
} else {
  printTable(incomplete.map((report) => [report.name, report.state, report.help ?? '']))
  for (const report of incomplete) if (report.reason !== undefined) process.stdout.write(`${report.name}: ${report.reason}\n`)
  if (values.strict) process.exitCode = 1
}

/** On a terminal a person is asked; a pipeline (`CI`, or no terminal) has said yes by running this. */
async function askOnTerminal(): Promise<boolean> {
  if (!process.stdin.isTTY || process.env.CI === 'true') return true
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  try {
    return /^y(es)?$/i.test((await terminal.question('install these packages? [y/N] ')).trim())
  } finally {
    terminal.close()
  }
}

function printTable(rows: readonly (readonly string[])[]): void {
  const all = [['name', 'state', 'the command that would help'], ...rows]
  const widths = [0, 1].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  for (const row of all) process.stdout.write(`${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}\n`)
}
