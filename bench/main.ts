/**
 * Measures everything, or what is named, and writes `bench/RESULTS.md`.
 *
 *     npm run bench -- --quick             every benchmark, within five minutes; the figures are rough
 *     npm run bench -- jwt/verify http     these alone; printed, not written
 */
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { arch, cpus, platform } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { markdownOf, printTable, type RunOptions, type Table } from './table.ts'

const { values, positionals } = parseArgs({ options: { quick: { type: 'boolean', default: false } }, allowPositionals: true })
const folder = import.meta.dirname
const names = globSync('*/*.ts', { cwd: folder, exclude: ['node_modules/**'] })
  .map((file) => file.replaceAll('\\', '/').replace(/\.ts$/, ''))
  .toSorted()
const chosen =
  positionals.length === 0 ? names : names.filter((name) => positionals.some((one) => name === one || name.startsWith(`${one}/`)))

// Timers of the libraries do not keep a process alive; while something is measured, this one does.
const alive = setInterval(() => undefined, 60_000)
const tables: Table[] = []
const failures: string[] = []
for (const name of chosen) {
  const startedAt = performance.now()
  try {
    const { run } = (await import(join(folder, `${name}.ts`))) as { run?: (options: RunOptions) => Promise<Table | readonly Table[]> }
    // Beside the benchmarks stand the files that they share.
    if (run === undefined) continue
    process.stderr.write(`${name} …\n`)
    const result = await run({ quick: values.quick })
    for (const table of Array.isArray(result) ? (result as readonly Table[]) : [result as Table]) {
      tables.push(table)
      printTable(table)
    }
  } catch (error) {
    failures.push(name)
    process.stderr.write(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  }
  process.stderr.write(`${name}: ${((performance.now() - startedAt) / 1_000).toFixed(0)} s\n`)
}

clearInterval(alive)

if (positionals.length === 0) {
  const versions = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { dependencies: Record<string, string> }
  const peers = Object.keys(versions.dependencies)
    .filter((name) => !name.startsWith('@portcullis/') && !name.startsWith('@types/'))
    .map(
      (name) =>
        `${name} ${(JSON.parse(readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8')) as { version: string }).version}`,
    )
  const head = [
    '# Results',
    '',
    `Written by \`npm run bench${values.quick ? ' -- --quick' : ''}\` on ${new Date().toISOString().slice(0, 10)}: Node ${process.versions.node} (OpenSSL ${process.versions.openssl}), ${platform()} ${arch()}, ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'}.`,
    '',
    `Peers: ${peers.join(', ')}.`,
    ...(values.quick ? ['', 'A quick run: it shows that everything runs, and its figures are rough.'] : []),
    ...(failures.length > 0 ? ['', `Failed: ${failures.join(', ')}.`] : []),
  ]
  writeFileSync(join(folder, 'RESULTS.md'), `${head.join('\n')}\n\n${tables.map(markdownOf).join('\n\n')}\n`)
}
process.exit(failures.length === 0 ? 0 : 1)
