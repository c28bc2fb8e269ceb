/** Everything: the real servers are found or fetched first, then all checks, all tests, and the tests again on the lowest Node. */
import { join } from 'node:path'

import { serverTests, staticChecks } from '../checks.ts'
import { lowestNode } from '../lowest-node.ts'
import { conclude, progress, root, run, tests } from '../steps.ts'
import type { Outcome } from '../steps.ts'

const args = process.argv.slice(2)
const packagesAlone = [serverTests, 'test/**', 'bench/**', 'examples/**'].flatMap((pattern) => ['--exclude', pattern])
const provision = join(root, 'test', 'servers', 'src', 'provision-cli.ts')
// A server that cannot be had is named in the table that this prints; its tests fail below and are counted there.
await run(process.execPath, ['--conditions=@portcullis/source', provision])

conclude([...(await staticChecks()), await tests('tests', args), ...(await testsOnLowestNode())])

async function testsOnLowestNode(): Promise<Outcome[]> {
  try {
    const lowest = await lowestNode()
    if (lowest !== undefined) return [await tests(`tests on Node ${lowest.version}`, [...packagesAlone, ...args], lowest.path)]
    progress(`tests on the lowest Node: npm has none for ${process.platform}-${process.arch}; left out`)
    return []
  } catch (error) {
    const title = 'tests on the lowest Node'
    progress(`${title}: it cannot be had. ${String(error)}`)
    return [{ title, passed: 0, failed: 1 }]
  }
}
