import { afterAll, describe, expect, it } from 'vitest'

import { openProgram } from './program.ts'
import { packages, published } from './workspace.ts'

const program = openProgram()
afterAll(() => program.close())

describe('exports', () => {
  // Every name here is a promise. A change is made on purpose: `npm run check -- test/boundaries/src/exports.test.ts -u`.
  it('are the ones that were promised', async () => {
    const list = Object.fromEntries(
      published.flatMap((each) =>
        each.entries.map((entry) => [
          entry.specifier,
          program
            .exportsOf(entry.source)
            .map(({ name, kind }) => (kind === 'type' ? `type ${name}` : name))
            .toSorted(),
        ]),
      ),
    )
    await expect(`${JSON.stringify(list, null, 2)}\n`).toMatchFileSnapshot('../exports.json')
  })

  it.each(packages)('of $name say what they do', ({ entries }) => {
    const silent = entries.flatMap((entry) =>
      program
        .exportsOf(entry.source)
        .filter(({ documentation }) => documentation.trim() === '')
        .map(({ name }) => `${entry.specifier}: ${name}`),
    )
    expect(silent).toEqual([])
  })
})
