import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

// A project that has this package and what it always brings along, and no mechanism.
const project = mkdtempSync(join(tmpdir(), 'portcullis-config-'))
beforeAll(() => {
  const modules = join(project, 'node_modules')
  cpSync(import.meta.dirname, join(project, 'config'), { recursive: true, filter: (path) => !path.includes('.test') })
  const installed = join(import.meta.dirname, '..', 'node_modules')
  for (const name of ['@portcullis/core', '@portcullis/crypto', 'smol-toml']) {
    mkdirSync(dirname(join(modules, name)), { recursive: true })
    symlinkSync(realpathSync(join(installed, name)), join(modules, name), 'junction')
  }
  writeFileSync(join(project, 'package.json'), '{ "type": "module" }')
  writeFileSync(join(project, 'main.ts'), program)
})
afterAll(() => rmSync(project, { recursive: true }))

const program = `
import { authenticator, notMine } from '@portcullis/core'
import { policyFrom } from './config/index.ts'
const staff = authenticator('staff', () => notMine)
await policyFrom({ authenticate: 'staff' }, { mechanisms: { staff } })
const said = []
for (const kind of ['jwt', 'basic', 'apiKeys', 'introspection', 'dpopTokens', 'clientCertificate', 'signedMessages'])
  said.push(await policyFrom({ authenticate: 'x', mechanisms: { x: { [kind]: {} } } }).catch(({ code, message }) => [code, message]))
console.log(JSON.stringify(said))
`

describe('packages of mechanisms', () => {
  it('are needed only by data that name them, and asked for by name', () => {
    const output = execFileSync(process.execPath, ['--conditions=@portcullis/source', 'main.ts'], { cwd: project, encoding: 'utf8' })
    const missing = (kind: string, name: string) => [
      'ERR_CONFIG_PACKAGE_MISSING',
      `mechanisms.x.${kind} needs a package that is not installed: npm install @portcullis/${name}`,
    ]
    expect(JSON.parse(output)).toEqual([
      missing('jwt', 'jwt'),
      missing('basic', 'auth'),
      missing('apiKeys', 'auth'),
      missing('introspection', 'oauth2'),
      missing('dpopTokens', 'oauth2'),
      missing('clientCertificate', 'tls'),
      missing('signedMessages', 'message'),
    ])
  })
})
