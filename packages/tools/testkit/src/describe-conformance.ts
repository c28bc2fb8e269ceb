import type { Harness } from './harness.ts'
import { runScenario } from './run-scenario.ts'
import { scenarioIds, scenarios } from './scenarios/index.ts'

/** The two functions of a test runner that the suite is written with; vitest and `node:test` have them. */
export interface TestRunner {
  readonly describe: (name: string, body: () => void) => unknown
  readonly it: (name: string, body: () => Promise<void>) => unknown
}

/**
 * Makes a test of every scenario, for vitest: `await describeConformance('hello', harness)` is a whole test file. Pass
 * another runner as third argument: `import * as runner from 'node:test'`.
 *
 * Each test is named `<scenario>: <title>`; one that the harness declares unsupported says so, with its reason, and
 * passes only if it is refused.
 */
export async function describeConformance(name: string, harness: Harness, runner?: TestRunner): Promise<void> {
  const { describe, it } = runner ?? (await import('vitest'))
  describe(`conformance of ${name}`, () => {
    for (const id of scenarioIds) {
      const excluded = harness.unsupported?.[id]
      it(`${id}: ${scenarios[id].title}${excluded === undefined ? '' : ` [unsupported: ${excluded.because}]`}`, async () => {
        await runScenario(harness, id)
      })
    }
  })
}
