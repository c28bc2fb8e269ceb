/** Finds the real servers and foreign clients, or installs and fetches what is missing; names are those of `test/servers`. */
import { join } from 'node:path'

import { root, run } from '../steps.ts'

const tool = join(root, 'test', 'servers', 'src', 'provision-cli.ts')
process.exitCode = await run(process.execPath, ['--conditions=@portcullis/source', tool, ...process.argv.slice(2)])
