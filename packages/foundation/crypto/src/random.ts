import { randomBytes as systemRandomBytes } from 'node:crypto'
import { wholeNumber } from './options.ts'

// Nothing here needs more at once; a length that comes from a peer by mistake cannot exhaust memory.
const maxRandomBytes = 65_536

/** Random bytes of the system's generator, from 1 to 65,536 of them. */
export function randomBytes(length: number): Buffer {
  return systemRandomBytes(wholeNumber('The length of randomBytes()', length, 1, maxRandomBytes))
}

/**
 * A random identifier that nobody can guess, as base64url text of `bits` of randomness. The default of 128 bits
 * gives 22 characters and is enough for identifiers, nonces and states (RFC 6749 section 10.10); keys want 256.
 */
export function randomId(bits: number = 128): string {
  return randomBytes(Math.ceil(wholeNumber('The bits of randomId()', bits, 64, 4096) / 8)).toString('base64url')
}
