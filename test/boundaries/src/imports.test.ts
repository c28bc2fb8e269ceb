import { isBuiltin } from 'node:module'
import { dirname, relative, resolve, sep } from 'node:path'

import { afterAll, describe, expect, it } from 'vitest'

import { mayImport, rooms } from './directions.ts'
import { openProgram } from './program.ts'
import type { Import } from './program.ts'
import { display, packages } from './workspace.ts'
import type { Package } from './workspace.ts'

const program = openProgram()
afterAll(() => program.close())

const ours = '@portcullis/'
const specifiers = new Set(packages.flatMap((each) => each.entries.map((entry) => entry.specifier)))

/** `@scope/name/sub/path` → `@scope/name`. */
function libraryOf(specifier: string): string {
  return specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/')
}

function isRelative({ specifier }: Import): boolean {
  return specifier.startsWith('.')
}

function isForeign(one: Import): boolean {
  return !isRelative(one) && !one.specifier.startsWith(ours) && !isBuiltin(one.specifier)
}

/** Whether it is there as soon as the importing module is: not a type, not `import()`. */
function isLoaded({ typeOnly, dynamic }: Import): boolean {
  return !typeOnly && !dynamic
}

/** Every import of a package's published files that `wrong` finds fault with, as lines to read. */
function offences(each: Package, wrong: (one: Import, file: string) => string | false): string[] {
  return each.sources.flatMap((file) =>
    program.importsOf(file).flatMap((one) => {
      const why = wrong(one, file)
      return why === false ? [] : [`${display(file)} imports ${one.specifier}: ${why}`]
    }),
  )
}

/** The files of its own package that a file loads when it is imported, itself included. */
function loadedWith(file: string, seen = new Set<string>()): Set<string> {
  if (seen.has(file)) return seen
  seen.add(file)
  for (const one of program.importsOf(file)) if (isRelative(one) && isLoaded(one)) loadedWith(resolve(dirname(file), one.specifier), seen)
  return seen
}

/** The name of the file or folder under `src` that a file belongs to: `http/express`. */
function roomOf(each: Package, file: string): string {
  const [first = ''] = relative(`${each.folder}${sep}src`, file).split(sep)
  return `${each.name}/${first.replace(/\.ts$/, '')}`
}

const roomsFor = (library: string): readonly string[] => [rooms[library] ?? []].flat()

describe.each(packages)('imports of $name', (each) => {
  const { dependencies = {}, peerDependencies = {}, peerDependenciesMeta = {} } = each.manifest

  it('go in the directions of the floor plan', () => {
    const wrong = offences(each, ({ specifier }) => {
      if (!specifier.startsWith(ours)) return false
      const to = libraryOf(specifier).slice(ours.length)
      return to !== each.name && !mayImport(each, to) && `${each.name} may not import ${to}`
    })
    expect(wrong).toEqual([])
  })

  it('name entry points only, and never leave the package by a path', () => {
    const wrong = offences(each, (one, file) => {
      if (one.specifier.startsWith(ours)) return !specifiers.has(one.specifier) && 'no entry point of that package'
      if (!isRelative(one)) return false
      const target = relative(`${each.folder}${sep}src`, resolve(dirname(file), one.specifier))
      return target.startsWith('..') && 'outside of its own src'
    })
    expect(wrong).toEqual([])
  })

  it('name built-in modules with node:', () => {
    expect(offences(each, ({ specifier }) => isBuiltin(specifier) && !specifier.startsWith('node:') && 'write node:')).toEqual([])
  })

  it('are declared in the manifest, and nothing is declared that is not imported', () => {
    const declared = { ...dependencies, ...peerDependencies }
    const wrong = offences(each, (one) => {
      if (isRelative(one) || isBuiltin(one.specifier)) return false
      const library = libraryOf(one.specifier)
      return library !== each.manifest.name && !(library in declared) && 'declared neither in dependencies nor in peerDependencies'
    })
    const imported = new Set(each.sources.flatMap((file) => program.importsOf(file).map((one) => libraryOf(one.specifier))))
    // The types of a library that brings none come along with it.
    const unused = Object.keys(declared).filter((library) => !imported.has(library.replace(/^@types\//, '')))
    expect({ wrong, unused }).toEqual({ wrong: [], unused: [] })
  })

  it('reach a peer library in its one room only', () => {
    const wrong = offences(each, (one, file) => {
      const library = libraryOf(one.specifier)
      if (!isForeign(one) || !(library in peerDependencies)) return false
      const own = roomsFor(library)
      if (own.length === 0) return 'has no room in directions.ts'
      return !own.includes(each.name) && !own.includes(roomOf(each, file)) && `its room is ${own.join(' or ')}`
    })
    expect(wrong).toEqual([])
  })

  // An entry point named after a library loads that one; every other loads none that a user may not have.
  it('load no optional library with an entry point that is not for it', () => {
    const wrong = each.entries.flatMap((entry) =>
      [...loadedWith(entry.source)].flatMap((file) =>
        program
          .importsOf(file)
          .filter((one) => isLoaded(one) && isForeign(one) && peerDependenciesMeta[libraryOf(one.specifier)]?.optional === true)
          .filter((one) => !roomsFor(libraryOf(one.specifier)).some((room) => room === each.name || room === roomOf(each, entry.source)))
          .map((one) => `${entry.specifier} loads ${one.specifier} through ${display(file)}`),
      ),
    )
    expect(wrong).toEqual([])
  })
})
