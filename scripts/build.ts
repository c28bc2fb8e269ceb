/** The build of the packages alone, for tasks that run them and do not judge the rest. */
import { globSync } from 'node:fs'

import { root, step } from './steps.ts'

/** Compiles every package; a package that does not compile ends the task. */
export async function buildPackages(): Promise<void> {
  const projects = globSync('packages/*/*/tsconfig.json', { cwd: root })
  const outcome = await step('build', 'tsc', ['-b', ...projects])
  if (outcome.failed > 0) process.exit(1)
}
