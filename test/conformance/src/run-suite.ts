/** Runs the suite of every adapter and reads what came of it. */
import { execFile } from 'node:child_process'
import { globSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'

import type { Cell, Matrix } from './matrix.ts'

export const root = resolve(import.meta.dirname, '../../..')

/** The adapters that have a suite, by the names of their folders. */
export function adaptersWithSuite(): readonly string[] {
  return globSync('packages/adapters/*/src/conformance{,.servers}.test.ts', { cwd: root })
    .map((file) => basename(dirname(dirname(file))))
    .toSorted()
}

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly ancestorTitles: readonly string[]; readonly title: string; readonly status: string }[]
  }[]
}

/** Runs all suites with vitest; what fails is a cell and no error. */
export async function runSuites(): Promise<Matrix> {
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-conformance-'))
  try {
    const file = join(folder, 'report.json')
    const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs')
    const suites = globSync('packages/adapters/*/src/conformance{,.servers}.test.ts', { cwd: root })
    await new Promise<void>((done) => {
      execFile(process.execPath, [vitest, 'run', '--reporter=json', `--outputFile=${file}`, ...suites], { cwd: root }, () => done())
    })
    return matrixOf(JSON.parse(await readFile(file, 'utf8')) as Report)
  } finally {
    await rm(folder, { recursive: true })
  }
}

const suiteName = /^conformance of (.+)$/
const testName = /^([\w.]+): (.*?)(?: \[unsupported: (.+)\])?$/

function matrixOf({ testResults }: Report): Matrix {
  const matrix = new Map<string, Map<string, Cell>>()
  for (const { ancestorTitles, title, status } of testResults.flatMap((file) => file.assertionResults)) {
    const adapter = suiteName.exec(ancestorTitles[0] ?? '')?.[1]
    const [, id, , because] = testName.exec(title) ?? []
    if (adapter === undefined || id === undefined) continue
    const cells = matrix.get(adapter) ?? new Map<string, Cell>()
    matrix.set(
      adapter,
      cells.set(
        id,
        status !== 'passed' ? { outcome: 'failed' } : because === undefined ? { outcome: 'passed' } : { outcome: 'refused', because },
      ),
    )
  }
  return matrix
}
