import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { snippetsOf } from './snippets.ts'
import { published, textOf } from './workspace.ts'

/** A command-line tool is shown in a shell; everything else in a program. */
function shows(each: (typeof published)[number], readme: string): boolean {
  return each.manifest.bin === undefined ? snippetsOf(join(each.folder, 'README.md')).length > 0 : /^```sh/m.test(readme)
}

describe.each(published)('the README of $name', (each) => {
  const readme = textOf(join(each.folder, 'README.md'))

  it('opens with its name and a paragraph that says what it is', () => {
    const [title = '', opening = ''] = readme.split(/\n{2,}/)
    expect(title).toBe(`# ${each.manifest.name}`)
    expect(opening).toMatch(/^[A-Z`*][^\n]/)
  })

  it('says how to install it and shows it at work', () => {
    expect(readme).toMatch(new RegExp(`npm (?:install|i) [^\\n]*${each.manifest.name}\\b`))
    expect(shows(each, readme)).toBe(true)
  })
})
