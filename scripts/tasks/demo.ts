/** Builds, then runs the demo; its exit code is ours. */
import { buildPackages } from '../build.ts'
import { root, run } from '../steps.ts'

await buildPackages()
process.exitCode = await run(process.execPath, [`${root}/examples/demo/main.ts`, ...process.argv.slice(2)])
