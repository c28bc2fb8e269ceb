import { createHmac, generateKeySync, timingSafeEqual } from 'node:crypto'
import type { TextOrBytes } from './bytes.ts'

// Digests under a key that nobody outside knows have one length and tell nothing about where their inputs differ.
const comparisonKey = generateKeySync('hmac', { length: 256 })

/**
 * Tells whether two texts or byte sequences are equal, in a time that does not depend on where they differ or whether
 * their lengths do. Any lengths may be compared. Text is compared as UTF-8, exactly: no normalisation, and a text that
 * is no well-formed Unicode equals nothing.
 */
export function equalConstantTime(a: TextOrBytes, b: TextOrBytes): boolean {
  const same = timingSafeEqual(blind(a), blind(b))
  return same && isComparable(a) && isComparable(b)
}

function blind(value: TextOrBytes): Buffer {
  return createHmac('sha256', comparisonKey)
    .update(isComparable(value) ? value : '')
    .digest()
}

function isComparable(value: unknown): value is TextOrBytes {
  return typeof value === 'string' ? value.isWellFormed() : value instanceof Uint8Array
}
