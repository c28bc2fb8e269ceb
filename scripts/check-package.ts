/** Packs the package in the current folder and has its tarball judged by publint and attw, as its users would receive it. */
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folder = mkdtempSync(join(tmpdir(), 'portcullis-pack-'))
try {
  execFileSync('pnpm', ['pack', '--pack-destination', folder], { stdio: 'pipe' })
  const [name] = readdirSync(folder)
  const tarball = join(folder, String(name))
  const unwanted = execFileSync('tar', ['-tzf', tarball], { encoding: 'utf8' })
    .split('\n')
    .filter((path) => /\.test\b|tsbuildinfo|\/fixtures\//.test(path))
  if (unwanted.length > 0) process.stderr.write(`Not for users, but packed:\n${unwanted.join('\n')}\n`)
  const judged = [
    spawnSync('publint', ['run', tarball, '--strict'], { stdio: 'inherit' }),
    spawnSync('attw', [tarball, '--profile', 'esm-only', '--no-emoji', '--no-color'], { stdio: 'inherit' }),
  ]
  process.exitCode = unwanted.length === 0 && judged.every((tool) => tool.status === 0) ? 0 : 1
} finally {
  rmSync(folder, { recursive: true })
}
