/** Builds, then measures side by side with the peers; a name runs that benchmark alone. */
import { buildPackages } from '../build.ts'
import { root, run } from '../steps.ts'

await buildPackages()
process.exitCode = await run(process.execPath, [`${root}/bench/main.ts`, ...process.argv.slice(2)])
