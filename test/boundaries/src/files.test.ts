import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { display, packages, root, textOf } from './workspace.ts'

/** A file longer than this holds more than one concept; 300 lines is the aim. */
const maxLines = 500

/** What only one machine or one network knows, and would break or expose the others. */
const local = [
  { what: 'a path of one machine', pattern: /(?<![\w.@/-])\/(?:work|root|home\/\w+|Users\/\w+)\/[\w.]/ },
  { what: 'the host of a package registry', pattern: /registry\.(?:npmjs|yarnpkg|npmmirror)\.\w+|npm\.pkg\.github/ },
  { what: 'a download address in a lockfile', pattern: /^\s*"?(?:resolved|tarball)"?: "?https?:/m },
]

const tracked = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: root, encoding: 'utf8' })
  .split('\0')
  .filter((file) => file !== '' && existsSync(join(root, file)))

describe('files', () => {
  it(`have at most ${maxLines} lines`, () => {
    const long = packages
      .flatMap((each) => [...each.sources, ...each.tests])
      .map((file) => ({ file: display(file), lines: readFileSync(file, 'utf8').trimEnd().split('\n').length }))
      .filter(({ lines }) => lines > maxLines)
    expect(long).toEqual([])
  })

  it('name no machine and no registry', () => {
    const own = display(import.meta.filename)
    const found = tracked
      .filter((file) => file !== own && !/\.(png|jpg|gz|p12|der|jks)$/.test(file))
      .flatMap((file) => {
        const text = readFileSync(join(root, file), 'utf8')
        return local
          .filter(({ pattern }) => pattern.test(text))
          .map(({ what, pattern }) => `${file} holds ${what}: ${pattern.exec(text)?.[0]}`)
      })
    expect(found).toEqual([])
  })

  it('link to files that exist', () => {
    const dead = tracked
      .filter((file) => file.endsWith('.md'))
      .flatMap((file) =>
        [...readFileSync(join(root, file), 'utf8').matchAll(/\]\((?![a-z]+:|#)([^)#\s]+)/g)]
          .filter(([, target = '']) => !existsSync(join(root, dirname(file), target)))
          .map(([, target]) => `${file} links to ${target}`),
      )
    expect(dead).toEqual([])
  })

  it('switch a lint rule off only with the reason beside it', () => {
    expect(unexplained(/(?:oxlint|eslint)-disable/, 1)).toEqual([])
  })

  it('cast through unknown only with the reason beside it', () => {
    expect(unexplained(/as unknown as/, 3)).toEqual([])
  })
})

/** Lines of published files that match, and have no comment of their own, neither after ` -- ` nor in the lines before. */
function unexplained(pattern: RegExp, linesBefore: number): string[] {
  return packages
    .flatMap((each) => each.sources)
    .flatMap((file) => {
      const lines = readFileSync(file, 'utf8').split('\n')
      return lines.flatMap((line, at) => {
        const reasons = [line.replace(/\/\/.*?-disable\S*.*?( -- |$)/, '$1'), ...lines.slice(Math.max(0, at - linesBefore), at)]
        return pattern.test(line) && !reasons.some((text) => /\/\/ | -- /.test(text)) ? [`${display(file)}:${at + 1}`] : []
      })
    })
}

describe.each(packages)('the manifest of $name', ({ name, manifest, entries, folder }) => {
  it('says what all the others say', () => {
    expect(manifest).toMatchObject({
      name: `@portcullis/${name}`,
      license: 'Apache-2.0',
      type: 'module',
      sideEffects: false,
      engines: { node: packages[0]?.manifest.engines?.node },
      scripts: { 'check:package': 'node ../../../scripts/check-package.ts' },
    })
  })

  it('leads every entry point to a source', () => {
    expect(entries.filter((entry) => !existsSync(entry.source))).toEqual([])
    expect(entries.map((entry) => entry.specifier)).toContain(manifest.name)
  })

  it('brings no library along without a reason in docs/dependencies.md', () => {
    const explained = textOf(join(root, 'docs', 'dependencies.md'))
    const libraries = Object.keys(manifest.dependencies ?? {}).filter((library) => !library.startsWith('@portcullis/'))
    expect(libraries.filter((library) => !new RegExp(`^\\| \`?${library}\`? \\|`, 'm').test(explained))).toEqual([])
  })

  it('is built by the root project', () => {
    expect(textOf(join(root, 'tsconfig.json'))).toContain(`"${display(folder)}"`)
  })
})
