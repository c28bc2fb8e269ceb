import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

import { beforeAll, describe, expect, it } from 'vitest'

import { documents, snippetsOf } from './snippets.ts'
import { packages, root } from './workspace.ts'

/** A snippet is an example, not a service: it closes what it opened and ends by itself. */
const longestRunMs = 20_000

const workshop = join(root, '.tools', 'snippets')
const snippets = documents()
  .flatMap(snippetsOf)
  .map((snippet, at) => ({ ...snippet, file: join(workshop, String(at), 'snippet.ts') }))

describe('snippets', () => {
  beforeAll(() => {
    rmSync(workshop, { recursive: true, force: true })
    for (const { file, code } of snippets) {
      mkdirSync(dirname(file), { recursive: true })
      writeFileSync(file, code)
    }
    linkModules(join(workshop, 'node_modules'))
    writeFileSync(join(workshop, 'package.json'), JSON.stringify({ type: 'module', private: true }))
    writeFileSync(join(workshop, 'tsconfig.json'), JSON.stringify(strict))
  })

  it('compile', { timeout: 60_000 }, () => {
    const { stdout, status } = spawnSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', workshop, '--pretty', 'false'], {
      encoding: 'utf8',
    })
    expect(located(stdout)).toBe('')
    expect(status).toBe(0)
  })

  it.each(snippets.filter((snippet) => snippet.run))('run: $place', { timeout: longestRunMs + 5000 }, async ({ file }) => {
    const { code, output } = await outcome(file)
    expect(code, code === null ? `still running after ${longestRunMs} ms:\n${output}` : output).toBe(0)
  })
})

const strict = {
  extends: '../../tsconfig.base.json',
  compilerOptions: {
    composite: false,
    noEmit: true,
    allowImportingTsExtensions: true,
    customConditions: ['@portcullis/source'],
    // An example may name what its reader goes on with.
    noUnusedLocals: false,
    noUnusedParameters: false,
  },
  include: ['*/snippet.ts'],
}

/** Everything that a user could have installed: our packages, and the libraries that they work with. */
function linkModules(modules: string): void {
  const link = (name: string, target: string): void => {
    const place = join(modules, name)
    if (existsSync(place) || !existsSync(target)) return
    mkdirSync(dirname(place), { recursive: true })
    symlinkSync(target, place, 'junction')
  }
  link('@types/node', join(root, 'node_modules', '@types', 'node'))
  for (const each of packages) {
    link(each.manifest.name, each.folder)
    const theirs = join(each.folder, 'node_modules')
    for (const name of existsSync(theirs) ? readdirSync(theirs) : []) {
      if (name.startsWith('.') || name === '@portcullis') continue
      const scoped = name.startsWith('@') ? readdirSync(join(theirs, name)).map((one) => `${name}/${one}`) : [name]
      for (const library of scoped) link(library, join(theirs, library))
    }
  }
}

/** The compiler's messages, with the place in the document in front. */
function located(output: string): string {
  return output.replaceAll(
    /^.*?(\d+)[/\\]snippet\.ts\((\d+),\d+\)/gm,
    (_, at, line) => `${snippets[Number(at)]?.place} (line ${line} of the block)`,
  )
}

function outcome(file: string): Promise<{ code: number | null; output: string }> {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, ['--conditions=@portcullis/source', file], {
      cwd: dirname(file),
      timeout: longestRunMs,
      killSignal: 'SIGKILL',
    })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('close', (code) => resolve({ code, output }))
  })
}
