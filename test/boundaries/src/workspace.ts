/** The packages of this checkout, as their folders and manifests describe them. */
import { existsSync, globSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'

export const root = resolve(import.meta.dirname, '../../..')

/** What the rules look at in a package.json. */
export interface Manifest {
  readonly name: string
  readonly version: string
  readonly private?: boolean
  readonly engines?: { readonly node?: string }
  readonly exports?: Readonly<Record<string, { readonly '@portcullis/source': string; readonly default: string }>>
  readonly bin?: Readonly<Record<string, string>>
  readonly scripts?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

/** One name under which a package can be imported. */
export interface EntryPoint {
  /** As a user writes it: `@portcullis/http/express`. */
  readonly specifier: string
  readonly source: string
  readonly compiled: string
}

export interface Package {
  /** The name without its scope, which is also the name of its folder. */
  readonly name: string
  readonly group: string
  readonly folder: string
  readonly manifest: Manifest
  readonly entries: readonly EntryPoint[]
  /** What is published: no tests, absolute paths. */
  readonly sources: readonly string[]
  readonly tests: readonly string[]
}

/** Every package under packages/, in order of its path. */
export const packages: readonly Package[] = globSync('packages/*/*/package.json', { cwd: root }).toSorted().map(load)

/** Those that users can install. */
export const published: readonly Package[] = packages.filter((each) => each.manifest.private !== true)

/** A path as a reader would name it: relative to the checkout, with slashes. */
export function display(path: string): string {
  return relative(root, path).replaceAll('\\', '/')
}

/** A file's text, or an empty one where there is no file. */
export function textOf(path: string): string {
  return existsSync(path) ? readFileSync(path, 'utf8') : ''
}

function load(path: string): Package {
  const folder = join(root, dirname(path))
  const manifest: Manifest = JSON.parse(readFileSync(join(root, path), 'utf8'))
  const [, group = '', name = ''] = path.replaceAll('\\', '/').split('/')
  const files = globSync('src/**/*.ts', { cwd: folder })
    .toSorted()
    .map((file) => join(folder, file))
  return {
    name,
    group,
    folder,
    manifest,
    entries: Object.entries(manifest.exports ?? {}).map(([subpath, target]) => ({
      specifier: manifest.name + subpath.slice(1),
      source: join(folder, target['@portcullis/source']),
      compiled: join(folder, target.default),
    })),
    sources: files.filter((file) => !isTest(file)),
    tests: files.filter(isTest),
  }
}

function isTest(file: string): boolean {
  return /\.test\b[-.\w]*\.ts$|[/\\]fixtures[/\\]/.test(file)
}
