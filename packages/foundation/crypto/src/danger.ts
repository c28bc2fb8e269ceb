/**
 * What weakens: digests that are broken for signatures and passwords, for peers that speak nothing newer.
 *
 * A search for `/danger` lists every place that uses them.
 */
export { md5, sha1 } from './weak-digests.ts'
export type { WeakDigest } from './weak-digests.ts'
