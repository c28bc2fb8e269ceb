import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { root } from './run-suite.ts'

const guide = readFileSync(join(root, 'docs', 'adapters.md'), 'utf8')
const shown = Array.from(guide.matchAll(/^```(?:ts|typescript)\n\/\/ hello: (\S+)\n(.*?)^```$/gms), ([, file = '', code = '']) => ({
  file,
  code,
}))

test('the guide shows code of the template', () => {
  expect(shown.map(({ file }) => file)).toEqual(['describe.ts', 'refuse.ts', 'connection.ts', 'connection.ts', 'present.ts'])
})

test.each(shown)('what the guide shows of $file stands there', ({ file, code }) => {
  expect(readFileSync(join(root, 'packages', 'adapters', 'hello', 'src', file), 'utf8')).toContain(code)
})

test('every file that the guide names in the template is there', () => {
  const names = Array.from(guide.matchAll(/^\| `(\w[\w.]*\.ts)` \|/gm), ([, name = '']) => name)
  expect(names.length).toBeGreaterThan(5)
  for (const name of names) expect(() => readFileSync(join(root, 'packages', 'adapters', 'hello', 'src', name))).not.toThrow()
})
