import { existsSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { openProgram } from './program.ts'
import { packages, published, textOf } from './workspace.ts'
import type { Package } from './workspace.ts'

type Codes = Readonly<Record<string, string>>

/** Codes of Node and of the libraries that our sources tell apart by name. */
const foreign =
  /^ERR_(?:HTTP2|INVALID_ARG|INVALID_URL|JOSE|JWE|JWKS|JWS|MODULE|OSSL|SOCKET|SSL|STREAM|TLS_CERT|TLS_HANDSHAKE|USE_AFTER_CLOSE)_?/

const program = openProgram()
const tables = new Map(await Promise.all(packages.map(async (each) => [each.name, await codesOf(each)] as const)))
const known = new Set([...tables.values()].flatMap((codes) => Object.keys(codes)))
const usedIn = new Map(packages.map((each) => [each.name, codesUsedBy(each)]))
const used = new Set([...usedIn.values()].flat())
program.close()

/** The table of codes that a package's errors.ts exports. */
async function codesOf(each: Package): Promise<Codes> {
  const file = join(each.folder, 'src', 'errors.ts')
  if (!existsSync(file)) return {}
  const exported: Readonly<Record<string, unknown>> = await import(file)
  const found = Object.values(exported).find(isTable)
  if (found === undefined) throw new Error(`${file} exports no table of codes`)
  return found
}

function isTable(value: unknown): value is Codes {
  return typeof value === 'object' && value !== null && Object.keys(value).every((key) => key.startsWith('ERR_'))
}

function codesUsedBy(each: Package): string[] {
  const files = each.sources.filter((file) => !file.endsWith('errors.ts'))
  return files.flatMap((file) => program.stringsOf(file)).filter((text) => /^ERR(?:_[A-Z0-9]+)+$/.test(text))
}

/** The codes in a text that look like ours: an example may well have codes of its own. */
function spokenOfIn(text: string): string[] {
  const families = new Set([...known].map(familyOf))
  return [...new Set(text.match(/\bERR_[A-Z0-9]+(?:_[A-Z0-9]+)+\b/g))].filter((code) => families.has(familyOf(code)))
}

/** `ERR_JWT_EXPIRED` → `JWT`. */
function familyOf(code: string): string {
  return code.split('_')[1] ?? ''
}

function page(): string {
  const sections = published.flatMap((each) => {
    const rows = Object.entries(tables.get(each.name) ?? {}).map(([name, meaning]) => `| \`${name}\` | ${meaning.replaceAll('|', '\\|')} |`)
    return rows.length === 0 ? [] : [`## ${each.manifest.name}\n\n| code | meaning |\n|---|---|\n${rows.join('\n')}\n`]
  })
  return `# Error codes

Every error and every refusal carries one of these codes. They are for logs, audit events and programs; a peer is told only what
its protocol says. A code keeps its meaning; \`isSecurityError(error, code)\` asks for one.

${sections.join('\n')}`
}

describe('error codes', () => {
  // Written from the tables: `npm run check -- test/boundaries/src/errors.test.ts -u`.
  it('are the ones in docs/errors.md', async () => {
    await expect(page()).toMatchFileSnapshot('../../../docs/errors.md')
  })

  it('belong to one package each', () => {
    const every = [...tables.values()].flatMap((codes) => Object.keys(codes))
    expect(every.filter((name, at) => every.indexOf(name) !== at)).toEqual([])
  })

  it.each(packages)('of $name are one sentence each, and used', ({ name }) => {
    const codes = Object.entries(tables.get(name) ?? {})
    expect(codes.filter(([, meaning]) => !/^[A-Z`].*\.$/.test(meaning)).map(([code]) => code)).toEqual([])
    expect(codes.filter(([code]) => !used.has(code)).map(([code]) => code)).toEqual([])
  })

  it.each(packages)('that $name uses exist', ({ name }) => {
    expect(usedIn.get(name)?.filter((code) => !known.has(code) && !foreign.test(code))).toEqual([])
  })

  it.each(packages)('that the README of $name speaks of exist', ({ folder }) => {
    expect(spokenOfIn(textOf(join(folder, 'README.md'))).filter((code) => !known.has(code) && !foreign.test(code))).toEqual([])
  })
})
