import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { snippetsOf } from '@portcullis/test-boundaries/snippets'
import { published, textOf } from '@portcullis/test-boundaries/workspace'
import type { Package } from '@portcullis/test-boundaries/workspace'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { Project } from './project.ts'
import { serveTarballs } from './registry.ts'
import type { Registry } from './registry.ts'

const tarballs = mkdtempSync(join(tmpdir(), 'portcullis-tarballs-'))
let registry: Registry

beforeAll(async () => {
  for (const { folder } of published) execFileSync('pnpm', ['pack', '--pack-destination', tarballs], { cwd: folder, stdio: 'pipe' })
  registry = await serveTarballs(tarballs)
})

afterAll(() => {
  registry.close()
  rmSync(tarballs, { recursive: true })
})

/** What the README tells to install, and the package's peers in the versions that it accepts. */
function toInstall(each: Package): string[] {
  const line = /npm (?:install|i) ([^\n`]+)/.exec(textOf(join(each.folder, 'README.md')))?.[1] ?? each.manifest.name
  const peers = Object.entries(each.manifest.peerDependencies ?? {}).map(([name, range]) => `${name}@${range}`)
  return [...line.trim().split(/\s+/), ...peers, '@types/node@24']
}

describe.each(published)('a user of $manifest.name', (each) => {
  let project: Project

  beforeAll(async () => {
    project = new Project(registry.url)
    expect(await project.install(...toInstall(each))).toMatchObject({ code: 0 })
  }, 240_000)

  afterAll(() => project[Symbol.dispose]())

  it('compiles and runs the first snippet of its README', { timeout: 60_000 }, async () => {
    const [first] = each.manifest.bin === undefined ? snippetsOf(join(each.folder, 'README.md')) : [{ code: '' }]
    project.write('main.ts', first?.code ?? "throw new Error('The README shows nothing.')")
    expect(await project.compile()).toEqual({ code: 0, output: '' })
    expect(await project.node('main.ts')).toMatchObject({ code: 0 })
  })

  it('imports each entry point, with its types', { timeout: 60_000 }, async () => {
    project.write(
      'main.ts',
      each.entries.map(({ specifier }, at) => `import * as entry${at} from '${specifier}'\nvoid entry${at}\n`).join(''),
    )
    expect(await project.compile()).toEqual({ code: 0, output: '' })
    expect(await project.node('main.ts')).toEqual({ code: 0, output: '' })
  })

  it('requires it from CommonJS', async () => {
    project.write('main.cjs', each.entries.map(({ specifier }) => `require('${specifier}')\n`).join(''))
    expect(await project.node('main.cjs')).toEqual({ code: 0, output: '' })
  })

  it.runIf(each.manifest.bin !== undefined)('asks its command for help', async () => {
    const [name = ''] = Object.keys(each.manifest.bin ?? {})
    expect(await project.node(join(project.folder, 'node_modules', '.bin', name), '--help')).toMatchObject({ code: 0 })
  })
})
