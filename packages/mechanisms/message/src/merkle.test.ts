import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { BatchProof, maxBatch, merkleTree } from './merkle.ts'

const sha256 = (text: string): string => createHash('sha256').update(text).digest('base64url')
const leavesOf = fc.array(fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 20 }), { minLength: 1, maxLength: maxBatch })
const tampered = (text: string, at: number): string => `${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`

describe('merkleTree', () => {
  it('hashes leaves and nodes with prefixes of their own, and hands up the last of an odd level', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((leaf) => sha256(`\u0000${leaf}`)) as [string, string, string]
    const left = sha256(`\u0001${a}${b}`)
    expect(merkleTree(['a', 'b', 'c'])).toEqual({ root: sha256(`\u0001${left}${c}`), paths: [`${b}${c}`, `${a}${c}`, left] })
    expect(merkleTree(['a'])).toEqual({ root: a, paths: [''] })
  })
})

describe('BatchProof', () => {
  it('accepts every leaf of any number of leaves, in any order, and again', () => {
    fc.assert(
      fc.property(leavesOf, fc.infiniteStream(fc.nat()), (leaves, order) => {
        const { root, paths } = merkleTree(leaves)
        const proof = new BatchProof(root, leaves.length)
        const indices = leaves.map((_, at) => ({ at, key: order.next().value ?? 0 })).toSorted((a, b) => a.key - b.key)
        for (const { at } of [...indices, ...indices]) {
          expect(proof.accepts(leaves[at] ?? '', at, paths[at] ?? '')).toBe(true)
          expect(new BatchProof(root, leaves.length).accepts(leaves[at] ?? '', at, paths[at] ?? '')).toBe(true)
        }
      }),
      { numRuns: 100 },
    )
  })

  it('says of everything what it would say without a memory', () => {
    fc.assert(
      fc.property(
        leavesOf,
        fc.array(
          fc.record({
            at: fc.nat(maxBatch),
            as: fc.nat(maxBatch),
            change: fc.constantFrom('none', 'leaf', 'path', 'longer', 'shorter'),
            where: fc.nat(),
          }),
          { maxLength: 80 },
        ),
        (leaves, attempts) => {
          const { root, paths } = merkleTree(leaves)
          const proof = new BatchProof(root, leaves.length)
          for (const { at, as, change, where } of attempts) {
            const place = at % leaves.length
            const [leaf = '', path = ''] = [leaves[place], paths[place]]
            const other =
              change === 'path' && path !== ''
                ? tampered(path, where % path.length)
                : change === 'longer'
                  ? `${path}${path.slice(0, 43) || 'A'.repeat(43)}`
                  : change === 'shorter'
                    ? path.slice(0, -43)
                    : path
            const presented = [change === 'leaf' ? `${leaf}x` : leaf, where % 3 === 0 ? as : place, other] as const
            expect(proof.accepts(...presented)).toBe(new BatchProof(root, leaves.length).accepts(...presented))
          }
        },
      ),
      { numRuns: 200 },
    )
  })

  it('refuses another leaf, another place, and a path with anything changed, added or missing: at first sight and when much is remembered', () => {
    const leaves = Array.from({ length: 13 }, (_, at) => `leaf ${at}`)
    const { root, paths } = merkleTree(leaves)
    const seasoned = new BatchProof(root, leaves.length)
    leaves.forEach((leaf, at) => seasoned.accepts(leaf, at, paths[at] ?? ''))
    for (const proof of [() => new BatchProof(root, leaves.length), () => seasoned]) {
      leaves.forEach((leaf, at) => {
        const path = paths[at] ?? ''
        expect(proof().accepts(`${leaf}x`, at, path)).toBe(false)
        expect(proof().accepts(leaf, (at + 1) % leaves.length, path)).toBe(false)
        expect(proof().accepts(leaf, at, `${path}${'A'.repeat(43)}`)).toBe(false)
        expect(proof().accepts(leaf, at, `${path}A`)).toBe(false)
        expect(proof().accepts(leaf, at, path.slice(0, -43))).toBe(false)
        expect(proof().accepts(leaf, at, path.slice(0, -1))).toBe(false)
        for (let place = 0; place < path.length; place += 43) {
          expect(proof().accepts(leaf, at, tampered(path, place))).toBe(false)
          // A character that is the right one but for its upper byte.
          const wide = String.fromCharCode(0x100 + path.charCodeAt(place))
          expect(proof().accepts(leaf, at, `${path.slice(0, place)}${wide}${path.slice(place + 1)}`)).toBe(false)
        }
      })
    }
  })

  it('remembers nothing of what it refused', () => {
    const leaves = ['a', 'b', 'c', 'd']
    const { root, paths } = merkleTree(leaves)
    const proof = new BatchProof(root, 4)
    const [, upper] = [paths[0]?.slice(0, 43) ?? '', paths[0]?.slice(43) ?? '']
    const forged = sha256('\u0000forged')
    expect(proof.accepts('a', 0, `${forged}${upper}`)).toBe(false)
    expect(proof.accepts('forged', 1, `${sha256('\u0000a')}${upper}`)).toBe(false)
    leaves.forEach((leaf, at) => expect(proof.accepts(leaf, at, paths[at] ?? '')).toBe(true))
    expect(proof.accepts('forged', 1, `${sha256('\u0000a')}${upper}`)).toBe(false)
  })

  it('does not take an inner node for a leaf, nor a place that is none', () => {
    const { root, paths } = merkleTree(['a', 'b', 'c', 'd'])
    const inner = `${sha256('\u0000a')}${sha256('\u0000b')}`
    expect(new BatchProof(root, 2).accepts(inner, 0, (paths[2] ?? '').slice(43))).toBe(false)
    const three = merkleTree(['a', 'b', 'c'])
    for (const index of [3, 4, -1, -2, 0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 32]) {
      expect(new BatchProof(root, 4).accepts('a', index === 3 ? 4 : index, paths[0] ?? '')).toBe(false)
      expect(new BatchProof(three.root, 3).accepts('c', index, three.paths[2] ?? '')).toBe(false)
    }
  })
})
