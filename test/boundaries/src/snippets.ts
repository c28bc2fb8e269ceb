/**
 * The TypeScript that documents show, as programs.
 *
 * Every block fenced with `ts` is compiled on its own. The words after `ts` say what else: `run` runs it, too;
 * `continues` puts the block before it in front, imports and all. The first block of a README is always run.
 */
import { globSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'

import { display, packages, root } from './workspace.ts'

export interface Snippet {
  /** Where a reader finds it: `docs/guide.md:12`. */
  readonly place: string
  readonly code: string
  readonly run: boolean
}

/** The snippets of one document, in order. */
export function snippetsOf(file: string): readonly Snippet[] {
  const found: Snippet[] = []
  const text = readFileSync(file, 'utf8').replaceAll('\r\n', '\n')
  for (const match of text.matchAll(/^```ts\b([^\n]*)\n(.*?)^```$/gms)) {
    const [, info = '', body = ''] = match
    const words = info.trim().split(/\s+/).filter(Boolean)
    const place = `${display(file)}:${text.slice(0, match.index).split('\n').length}`
    const unknown = words.filter((word) => word !== 'run' && word !== 'continues')
    if (unknown.length > 0) throw new Error(`${place}: a ts block is marked "run" or "continues", not "${unknown.join(' ')}"`)
    const before = words.includes('continues') ? (found.at(-1)?.code ?? '') : ''
    found.push({ place, code: before + body, run: words.includes('run') || (found.length === 0 && basename(file) === 'README.md') })
  }
  return found
}

/** The documents whose snippets are checked. */
export function documents(): readonly string[] {
  const shared = ['README.md', 'CONTRIBUTING.md', 'docs/**/*.md'].flatMap((pattern) => globSync(pattern, { cwd: root }))
  return [
    ...shared.map((file) => join(root, file)),
    ...packages.flatMap(({ folder }) => globSync('README.md', { cwd: folder }).map((file) => join(folder, file))),
  ]
}
