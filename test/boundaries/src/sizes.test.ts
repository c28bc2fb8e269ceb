import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'

import { describe, expect, it } from 'vitest'

import { display, published, textOf } from './workspace.ts'

const table = join(import.meta.dirname, '..', 'sizes.json')

/** How much code of its own an entry point loads: KiB of compiled JavaScript, with its comments, not minified. */
function loadedKiB(compiled: string): number {
  return [...loadedWith(compiled)].reduce((sum, file) => sum + statSync(file).size, 0) / 1024
}

/** The compiled files of its own package that a file loads when it is imported, itself included. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  if (!existsSync(file)) throw new Error(`${display(file)} is not built: tsc -b`)
  seen.add(file)
  // The compiler begins each import in the first column.
  for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/^(?:(?:import|export|\}).* from |import )['"](\.[^'"]+)['"]/gm)) {
    loadedWith(resolve(dirname(file), specifier), seen)
  }
  return seen
}

/** A ceiling stays while the code fits under it and does not shrink far below; else it is a tenth above the code. */
function ceilingFor(kib: number, before: number | undefined): number {
  return before !== undefined && kib <= before && before <= kib * 1.25 + 1 ? before : Math.ceil(kib * 1.1)
}

describe('sizes', () => {
  // An entry point that outgrows its ceiling is looked at before the ceiling is raised:
  // `npm run check -- test/boundaries/src/sizes.test.ts -u`.
  it('of entry points stay under their ceilings', async () => {
    const before: Readonly<Record<string, number>> = JSON.parse(textOf(table) || '{}')
    const entries = published.flatMap((each) => each.entries)
    const ceilings = entries.map(({ specifier, compiled }) => [specifier, ceilingFor(loadedKiB(compiled), before[specifier])] as const)
    await expect(`${JSON.stringify(Object.fromEntries(ceilings), null, 2)}\n`).toMatchFileSnapshot(table)
  })
})
