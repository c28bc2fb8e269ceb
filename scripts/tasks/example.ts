/** Without a name: the list of examples. With one (`<protocol>/<example>`): builds and runs it. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { buildPackages } from '../build.ts'
import { root, run } from '../steps.ts'

const folder = join(root, 'examples')
const names = globSync('*/*/main.ts', { cwd: folder })
  .map((file) => dirname(file).replaceAll('\\', '/'))
  .toSorted()
const [name, ...args] = process.argv.slice(2)

if (name !== undefined && names.includes(name)) {
  await buildPackages()
  process.exitCode = await run(process.execPath, [join(folder, name, 'main.ts'), ...args])
} else {
  const width = Math.max(0, ...names.map((each) => each.length))
  for (const each of names) process.stdout.write(`${each.padEnd(width)}  ${title(each)}\n`)
  process.stdout.write('\nnpm run example -- <protocol>/<example>\n')
  if (name !== undefined) {
    process.stderr.write(`There is no example "${name}": the list stands above.\n`)
    process.exitCode = 1
  }
}

/** The first line of the example's README, without its mark-up. */
function title(example: string): string {
  const readme = join(folder, example, 'README.md')
  if (!existsSync(readme)) return ''
  return (readFileSync(readme, 'utf8').split('\n', 1)[0] ?? '').replace(/^#+\s*/, '')
}
