/** Everything: the real servers are found or fetched first, then all checks, all tests, and the tests again on the lowest Node. */
import { join } from 'node:path'

import { serverTests, staticChecks } from '../checks.ts'
import { lowestNode } from '../lowest-node.ts'
import { conclude, progress, root, run, tests } from '../steps.ts'

const args = process.argv.slice(2)
const provision = join(root, 'test', 'servers', 'src', 'provision-cli.ts')
// A server that cannot be had is named in the table that this prints; its tests fail below and are counted there.
await run(process.execPath, ['--conditions=@portcullis/source', provision])

const outcomes = [...(await staticChecks()), await tests('tests', args)]
const lowest = await lowestNode()
if (lowest === undefined) progress(`tests on the lowest Node: npm has none for ${process.platform}-${process.arch}; left out`)
else outcomes.push(await tests(`tests on Node ${lowest.version}`, ['packages', '--exclude', serverTests, ...args], lowest.path))
conclude(outcomes)
