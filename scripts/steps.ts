/** What the tasks are made of: commands that are run, shown, timed and counted. */
import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

export const root = dirname(import.meta.dirname)
export const toolsFolder = join(root, '.tools')

/** How a step ended: one count for a step that is one thing, the tests' own counts for a test run. */
export interface Outcome {
  readonly title: string
  readonly passed: number
  readonly failed: number
}

/** Runs a command with our own terminal; yields its exit code. */
export function run(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } })
    child.on('error', reject)
    child.on('close', (code) => resolve(code ?? 1))
  })
}

/** Runs a command in silence and counts it as one; what it said is shown only if it fails. */
export async function step(title: string, command: string, args: readonly string[]): Promise<Outcome> {
  const started = Date.now()
  progress(`${title} …`)
  const output: Buffer[] = []
  const code = await new Promise<number>((resolve) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
    child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
    child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
    child.on('error', (error) => {
      output.push(Buffer.from(error.message))
      resolve(1)
    })
    child.on('close', (exit) => resolve(exit ?? 1))
  })
  const failed = code !== 0
  if (failed) process.stdout.write(`${Buffer.concat(output).toString('utf8').trimEnd()}\n`)
  progress(`${title}: ${failed ? `failed, exit ${code}` : 'ok'} (${seconds(started)})`)
  return { title, passed: failed ? 0 : 1, failed: failed ? 1 : 0 }
}

/** Runs vitest under the given Node with its own output, and counts its tests. */
export async function tests(title: string, args: readonly string[], node = process.execPath): Promise<Outcome> {
  const started = Date.now()
  progress(`${title} …`)
  const report = join(toolsFolder, 'vitest.json')
  rmSync(report, { force: true })
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`]
  const code = await run(node, [vitest, 'run', ...args, ...reporters])
  const { passed, failed } = countTests(report)
  progress(`${title}: ${passed} passed, ${failed} failed (${seconds(started)})`)
  // An error outside of any test, or a report that was never written, is a failure too.
  return { title, passed, failed: failed === 0 && code !== 0 ? 1 : failed }
}

interface VitestReport {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly testResults: readonly { readonly status: string; readonly assertionResults: readonly { readonly status: string }[] }[]
}

function countTests(report: string): { passed: number; failed: number } {
  let parsed: VitestReport
  try {
    parsed = JSON.parse(readFileSync(report, 'utf8'))
  } catch {
    return { passed: 0, failed: 1 }
  }
  // A file that could not even be loaded has no failed test of its own.
  const broken = parsed.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  )
  return { passed: parsed.numPassedTests, failed: parsed.numFailedTests + broken.length }
}

/** Prints what failed and, last and alone on its line, the sum; sets the exit code. */
export function conclude(outcomes: readonly Outcome[]): void {
  const bad = outcomes.filter((outcome) => outcome.failed > 0)
  if (bad.length > 0) progress(`failed: ${bad.map((outcome) => outcome.title).join(', ')}`)
  const sum = (key: 'passed' | 'failed'): number => outcomes.reduce((total, outcome) => total + outcome[key], 0)
  process.exitCode = sum('failed') === 0 ? 0 : 1
  process.stdout.write(`\n${sum('passed')} passed, ${sum('failed')} failed\n`)
}

/** One line about where the work stands. */
export function progress(text: string): void {
  process.stdout.write(`- ${text}\n`)
}

function seconds(started: number): string {
  return `${((Date.now() - started) / 1000).toFixed(1)} s`
}
