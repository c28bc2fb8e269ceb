import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { rooms } from '@portcullis/test-boundaries/directions'
import { snippetsOf } from '@portcullis/test-boundaries/snippets'
import { published, textOf } from '@portcullis/test-boundaries/workspace'
import type { Package } from '@portcullis/test-boundaries/workspace'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { Project } from './project.ts'
import type { Ended } from './project.ts'
import { serveTarballs } from './registry.ts'
import type { Registry } from './registry.ts'

const tarballs = mkdtempSync(join(tmpdir(), 'portcullis-tarballs-'))
let registry: Registry | undefined

beforeAll(async () => {
  for (const { folder } of published) execFileSync('pnpm', ['pack', '--pack-destination', tarballs], { cwd: folder, stdio: 'pipe' })
  registry = await serveTarballs(tarballs)
})

afterAll(() => {
  registry?.close()
  rmSync(tarballs, { recursive: true })
})

/** Fails with what the program said. */
function succeeded({ code, output }: Ended): void {
  expect(code, output).toBe(0)
}

/** What the README tells to install. */
function asTheReadmeSays(each: Package): string[] {
  const line = /npm (?:install|i) ([^\n`]+)/.exec(textOf(join(each.folder, 'README.md')))?.[1] ?? each.manifest.name
  return [...line.trim().split(/\s+/), '@types/node@24']
}

/** The package's peers, in the versions that it accepts, and where their types are published apart, those of the same major. */
function peersOf({ manifest: { peerDependencies = {}, devDependencies = {} } }: Package): string[] {
  return Object.entries(peerDependencies).flatMap(([name, range]) => {
    const types = `@types/${name}`
    return types in devDependencies ? [`${name}@${range}`, `${types}@${/\d+/.exec(range)?.[0] ?? 'latest'}`] : [`${name}@${range}`]
  })
}

/** A program that imports these entry points, types and all. */
function importing(entries: Package['entries']): string {
  return entries.map(({ specifier }, at) => `import * as entry${at} from '${specifier}'\nvoid entry${at}\n`).join('')
}

describe.each(published)('a user of $manifest.name', (each) => {
  let project: Project

  beforeAll(async () => {
    project = new Project(registry?.url ?? '')
    succeeded(await project.install(...asTheReadmeSays(each), ...peersOf(each)))
  }, 240_000)

  afterAll(() => project[Symbol.dispose]())

  const [command] = Object.keys(each.manifest.bin ?? {})
  if (command === undefined) {
    it('compiles and runs the first snippet of its README', { timeout: 60_000 }, async () => {
      const [first] = snippetsOf(join(each.folder, 'README.md'))
      project.write('main.ts', first?.code ?? "throw new Error('The README shows nothing.')")
      expect(await project.compile()).toEqual({ code: 0, output: '' })
      succeeded(await project.node('main.ts'))
    })
  } else {
    it('asks its command for help', async () => {
      succeeded(await project.command(command, '--help'))
    })
  }

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
})

const withPeers = published.filter((each) => each.manifest.peerDependencies !== undefined)

describe.each(withPeers)('a user of $manifest.name without the libraries that it can work with', (each) => {
  const reserved = new Set(
    Object.values(rooms)
      .flat()
      .map((room) => `@portcullis/${room}`),
  )

  it('imports every entry point that is not for one of them', { timeout: 240_000 }, async () => {
    using project = new Project(registry?.url ?? '')
    succeeded(await project.install(...asTheReadmeSays(each)))
    project.write('main.ts', importing(each.entries.filter(({ specifier }) => !reserved.has(specifier))))
    expect(await project.compile()).toEqual({ code: 0, output: '' })
    expect(await project.node('main.ts')).toEqual({ code: 0, output: '' })
  })
})

describe('two copies of core in one tree', () => {
  it('know each other: principals, refusals, errors', { timeout: 240_000 }, async () => {
    using project = new Project(registry?.url ?? '')
    succeeded(await project.install('@portcullis/core'))
    const installed = join(project.folder, 'node_modules', '@portcullis', 'core')
    const plugin = join(project.folder, 'node_modules', 'plugin')
    cpSync(installed, join(plugin, 'node_modules', '@portcullis', 'core'), { recursive: true })
    project.write(
      'node_modules/plugin/package.json',
      JSON.stringify({ name: 'plugin', version: '1.0.0', type: 'module', exports: './index.js' }),
    )
    project.write('node_modules/plugin/index.js', mechanismOfTheOtherCopy)
    project.write('main.mjs', guardOfThisCopy)
    expect(await project.node('main.mjs')).toEqual({ code: 0, output: '' })
  })
})

const mechanismOfTheOtherCopy = `
import { authenticator, notMine, refused, secret, UnavailableError, vouchForPrincipal } from '@portcullis/core'
export { vouchForPrincipal as vouch } from '@portcullis/core'
const verdicts = {
  proven: () => vouchForPrincipal({ issuer: 'https://sts.localhost', subject: 'alice', scopes: ['orders:read'] }),
  refused: () => refused('ERR_PLUGIN_UNKNOWN'),
  notMine: () => notMine,
  down: () => { throw new UnavailableError('ERR_OVERLOADED', { message: 'full', reason: 'overload', retryAfterMs: 1000 }) },
}
export const mechanism = (verdict) => authenticator('plugin', verdicts[verdict], [{ scheme: 'Plugin' }])
export const error = new UnavailableError('ERR_OVERLOADED', 'full')
export const hidden = secret('hush')
`

const guardOfThisCopy = `
import assert from 'node:assert/strict'
import { guard, isPrincipal, isSecret, isSecurityError, scope, vouchForPrincipal } from '@portcullis/core'
import { error, hidden, mechanism, vouch } from 'plugin'
assert.notEqual(vouch, vouchForPrincipal, 'this test needs two copies')

const request = {
  credentials: [{ kind: 'bearer', token: hidden }], action: 'read', resource: 'orders', attributes: {},
  channel: { protocol: 'test', from: 'peer', secure: true },
}
const decide = (verdict) => guard({ authenticate: mechanism(verdict), authorize: scope('orders:read') }).decide(request)

const allowed = await decide('proven')
assert.equal(allowed.outcome, 'allow')
assert.equal(isPrincipal(allowed.principal), true)
assert.equal((await decide('refused')).outcome, 'challenge')
assert.equal((await decide('notMine')).outcome, 'challenge')
const down = await decide('down')
assert.deepEqual([down.outcome, down.reason, down.retryAfterMs], ['unavailable', 'overload', 1000])

assert.equal(isSecurityError(error, 'ERR_OVERLOADED'), true)
assert.equal(isSecret(hidden), true)
assert.equal(isPrincipal({ ...vouch({ issuer: 'https://sts.localhost', subject: 'mallory' }) }), false)
`
