import { hash } from 'node:crypto'

// RFC 6962 section 2.1: prefixes keep leaves and inner nodes apart.
const leafPrefix = '\u0000'
const nodePrefix = '\u0001'
/** How long a hash is as text: 32 bytes in base64url. */
const hashLength = 43

/** The most messages under one signature: a path of six hashes, and a producer's wait that nobody notices. */
export const maxBatch = 64

// Hashes are computed over their text. So nothing is decoded, and a hash has one spelling: another one is another hash.
function leafHash(leaf: string): string {
  return hash('sha256', leafPrefix + leaf, 'base64url')
}

function nodeHash(left: string, right: string): string {
  return hash('sha256', nodePrefix + left + right, 'base64url')
}

/** The root over leaves, with the path of each. A level of odd length hands its last node up as it is. */
export function merkleTree(leaves: readonly string[]): { readonly root: string; readonly paths: readonly string[] } {
  const paths: string[] = leaves.map(() => '')
  let level = leaves.map((text, at) => ({ hash: leafHash(text), members: [at] }))
  while (level.length > 1) {
    const next: typeof level = []
    for (let at = 0; at < level.length; at += 2) {
      const [left, right] = [level[at], level[at + 1]]
      if (left === undefined) continue
      if (right === undefined) {
        next.push(left)
        continue
      }
      for (const member of left.members) paths[member] += right.hash
      for (const member of right.members) paths[member] += left.hash
      next.push({ hash: nodeHash(left.hash, right.hash), members: [...left.members, ...right.members] })
    }
    level = next
  }
  return { root: level[0]?.hash ?? '', paths }
}

/**
 * Proves members of one batch, whose root was signed.
 *
 * Every node on a path that led to the root, and every one beside it, is remembered: nobody knows another value that
 * could stand in its place. So the next leaf is hashed only up to the first node that is remembered, and what its path
 * says above must be what is remembered there. What is accepted is exactly what leads to the root, and who gets a batch
 * in order computes two hashes a message.
 */
export class BatchProof {
  // As in a heap: the root at 1, the children of `at` at twice that and one more. At most 127 hashes.
  readonly #nodes: (string | undefined)[]
  readonly #first: number
  readonly #last: number

  /** `count` is how many leaves the signature speaks of, from 1 to {@link maxBatch}. */
  constructor(root: string, count: number) {
    this.#first = 2 ** Math.ceil(Math.log2(count))
    this.#last = this.#first + count - 1
    this.#nodes = Array.from({ length: 2 * this.#first }, (_, at) => (at === 1 ? root : undefined))
  }

  /** Whether this leaf stands at this index. Its path has the length that its place demands: every leaf has one proof. */
  accepts(leaf: string, index: number, path: string): boolean {
    if (!Number.isInteger(index) || index < 0) return false
    let at = this.#first + index
    let last = this.#last
    if (at > last) return false
    // A copy where something of it is to be remembered, since a slice would keep the whole envelope in memory.
    const hashes = this.#nodes[at] === undefined ? Buffer.from(path).toString() : path
    const found: [at: number, hash: string][] = []
    let node = leafHash(leaf)
    let used = 0
    // Up to the first node that is remembered; the root is one.
    for (; this.#nodes[at] === undefined; at >>= 1, last >>= 1) {
      found.push([at, node])
      const beside = at ^ 1
      // The last of a level of odd length has nothing beside it, and is handed up.
      if (beside > last) continue
      const sibling = hashes.slice(used, used + hashLength)
      found.push([beside, sibling])
      used += hashLength
      node = at < beside ? nodeHash(node, sibling) : nodeHash(sibling, node)
    }
    if (this.#nodes[at] !== node) return false
    // What stands beside a remembered node, and above it, is remembered as well.
    for (; at > 1; at >>= 1, last >>= 1) {
      const beside = at ^ 1
      if (beside > last) continue
      if (hashes.slice(used, used + hashLength) !== this.#nodes[beside]) return false
      used += hashLength
    }
    if (used !== hashes.length) return false
    for (const [place, hashed] of found) this.#nodes[place] = hashed
    return true
  }
}
