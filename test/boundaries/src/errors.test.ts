import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, it } from 'vitest'

import { packages, published, root, textOf } from './workspace.ts'
import type { Package } from './workspace.ts'

const code = /\bERR_[A-Z0-9]+(?:_[A-Z0-9]+)*\b/g

/** The codes of a package are the keys of the table in its errors.ts. */
function definedIn(each: Package): string[] {
  return [...textOf(join(each.folder, 'src', 'errors.ts')).matchAll(/^ {2}(ERR_[A-Z0-9_]+):/gm)].map(([, name = '']) => name)
}

function namedIn(text: string): Set<string> {
  return new Set(text.match(code))
}

const defined = new Map(packages.map((each) => [each.name, definedIn(each)]))
const all = new Set([...defined.values()].flat())
// Codes of Node and of libraries that our sources tell apart by name.
const foreign = /^ERR_(?:SSL_|TLS_|OSSL_|HTTP2_|STREAM_|SOCKET_|INVALID_ARG|MODULE_NOT_FOUND|CRYPTO_|JOSE_|JWS_|JWKS_|JWE_)/

describe('error codes', () => {
  it('belong to one package each', () => {
    const every = [...defined.values()].flat()
    expect(every.filter((name, at) => every.indexOf(name) !== at)).toEqual([])
  })

  const page = namedIn(textOf(join(root, 'docs', 'errors.md')))

  it('in docs/errors.md exist', () => {
    expect([...page].filter((name) => !all.has(name))).toEqual([])
  })

  describe.each(published.filter((each) => definedIn(each).length > 0))('of $name', (each) => {
    const readme = namedIn(textOf(join(each.folder, 'README.md')))

    it('are explained to users, and those explained exist', () => {
      expect({
        unexplained: definedIn(each).filter((name) => !readme.has(name) && !page.has(name)),
        unknown: [...readme].filter((name) => !all.has(name)),
      }).toEqual({ unexplained: [], unknown: [] })
    })
  })

  describe.each(packages)('in $name', (each) => {
    const own = definedIn(each)
    const used = namedIn(
      each.sources
        .filter((file) => !file.endsWith('errors.ts'))
        .map((file) => readFileSync(file, 'utf8'))
        .join('\n'),
    )

    it('that are used exist', () => {
      expect([...used].filter((name) => !all.has(name) && !foreign.test(name))).toEqual([])
    })

    it('that exist are used', () => {
      const elsewhere = (name: string): boolean =>
        packages.some((other) => other.sources.some((file) => !file.endsWith('errors.ts') && readFileSync(file, 'utf8').includes(name)))
      expect(own.filter((name) => !used.has(name) && !elsewhere(name))).toEqual([])
    })
  })
})
