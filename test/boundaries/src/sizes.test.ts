import { existsSync, readFileSync, statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'

import { describe, expect, it } from 'vitest'

import { ceilings } from './sizes.ts'
import { display, published } from './workspace.ts'

const entries = published.flatMap((each) => each.entries)

/** The compiled files of its own package that a file loads when it is imported, itself included. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  if (!existsSync(file)) throw new Error(`${display(file)} is not built: tsc -b`)
  seen.add(file)
  // The compiler writes each import on a line of its own, from its first column on.
  for (const [, specifier = ''] of readFileSync(file, 'utf8').matchAll(/^(?:(?:import|export|\}).* from |import )'(\.[^']+)'/gm)) {
    loadedWith(resolve(dirname(file), specifier), seen)
  }
  return seen
}

describe('sizes', () => {
  it.each(entries)('$specifier', ({ specifier, compiled }) => {
    const bytes = [...loadedWith(compiled)].reduce((sum, file) => sum + statSync(file).size, 0)
    expect(bytes / 1024, `KiB, with the ceiling in ${display(import.meta.dirname)}/sizes.ts`).toBeLessThanOrEqual(ceilings[specifier] ?? 0)
  })

  it('are listed for entry points that exist', () => {
    const known = new Set(entries.map((entry) => entry.specifier))
    expect(Object.keys(ceilings).filter((specifier) => !known.has(specifier))).toEqual([])
  })
})
