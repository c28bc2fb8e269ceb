/** The checks that need no server: what `npm run check` runs, and `npm test` before its tests. */
import { step } from './steps.ts'
import type { Outcome } from './steps.ts'

/** Tests that need a real server, or the package registry, are named so. */
export const serverTests = '**/*.servers.test.ts'

/** Types first, since that builds what the type-aware lint rules and the packing look at. */
export async function staticChecks(): Promise<Outcome[]> {
  return [
    await step('types', 'tsc', ['-b']),
    await step('lint', 'oxlint', ['--deny-warnings']),
    await step('format', 'oxfmt', ['--check']),
    await step('packages', 'turbo', ['run', 'check:package', '--continue', '--output-logs=errors-only', '--ui=stream']),
  ]
}
