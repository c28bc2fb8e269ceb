import { randomBytes } from 'node:crypto'
import { fromBase64 } from './bytes.ts'
import type { DigestAlgorithm } from './digest.ts'
import { CryptoError } from './errors.ts'
import { legacyDigest } from './legacy-value.ts'

/** A stored password value, read into its parts. `salt` and `tag` are bytes. */
export type PasswordHash =
  | {
      readonly scheme: 'argon2id'
      readonly memoryKib: number
      readonly passes: number
      readonly parallelism: number
      readonly salt: Buffer
      readonly tag: Buffer
    }
  | {
      readonly scheme: 'scrypt'
      readonly costLog2: number
      readonly blockSize: number
      readonly parallelism: number
      readonly salt: Buffer
      readonly tag: Buffer
    }
  | {
      readonly scheme: 'pbkdf2'
      readonly hash: 'sha1' | 'sha256' | 'sha512'
      readonly iterations: number
      readonly salt: Buffer
      readonly tag: Buffer
    }
  | { readonly scheme: 'bcrypt'; readonly cost: number; readonly text: string }
  /** The unsalted digests of old configuration files, read only. */
  | { readonly scheme: 'legacyDigest'; readonly hash: DigestAlgorithm; readonly tag: Buffer }

/**
 * Reads a stored password value: a PHC string of argon2id, scrypt or PBKDF2 (also with padded base64, as Ballerina
 * writes it), a bcrypt text, or the legacy form `@sha256:{…}`.
 *
 * Parameters that demand more than about two seconds of a core or 256 MiB are refused, since whoever can write one
 * stored value could stop the service; weak ones are taken (`needsRehash` tells). Throws
 * `ERR_CRYPTO_PASSWORD_HASH_MALFORMED` or `ERR_CRYPTO_WORK_EXCESSIVE`; no message holds the value.
 */
export function parsePasswordHash(stored: string): PasswordHash {
  if (typeof stored !== 'string' || stored.length > maxStoredLength) throw malformed()
  const digest = legacyDigest(stored)
  if (digest !== undefined) return Object.freeze({ scheme: 'legacyDigest', ...digest })
  for (const [pattern, read] of readers) {
    const found = pattern.exec(stored)
    if (found !== null) return Object.freeze(read(found.slice(1)))
  }
  throw malformed()
}

/**
 * A stored value that no password matches, whose verification costs the same as that of `like`: for users who do not
 * exist, so that they take as long as those who do.
 */
export function decoyPasswordHash(like: PasswordHash): PasswordHash {
  if (like.scheme === 'bcrypt') {
    const random = randomBytes(53).reduce((text, byte) => text + (bcryptAlphabet[byte % 64] ?? ''), '')
    // The last character of salt and of hash hold fewer bits; '.' and 'u' and 'e' are spellings that all readers take.
    return Object.freeze({ ...like, text: `$2b$${String(like.cost).padStart(2, '0')}$${random.slice(0, 21)}e${random.slice(22, 52)}u` })
  }
  const tag = randomBytes(like.tag.length)
  return Object.freeze(like.scheme === 'legacyDigest' ? { ...like, tag } : { ...like, salt: randomBytes(like.salt.length), tag })
}

/** Writes a PHC string. */
export function formatPasswordHash(hash: Extract<PasswordHash, { scheme: 'argon2id' | 'scrypt' }>): string {
  const parameters =
    hash.scheme === 'argon2id'
      ? `v=19$m=${hash.memoryKib},t=${hash.passes},p=${hash.parallelism}`
      : `ln=${hash.costLog2},r=${hash.blockSize},p=${hash.parallelism}`
  return `$${hash.scheme}$${parameters}$${unpadded(hash.salt)}$${unpadded(hash.tag)}`
}

/** Refuses parameters that demand too much. Throws `ERR_CRYPTO_WORK_EXCESSIVE`. */
export function checkArgon2Work(memoryKib: number, passes: number, parallelism: number): void {
  if (memoryKib > maxMemoryKib || memoryKib * passes > maxArgon2Work || parallelism > maxLanes) throw excessive()
}

/** Refuses parameters that demand too much. Throws `ERR_CRYPTO_WORK_EXCESSIVE`. */
export function checkScryptWork(costLog2: number, blockSize: number, parallelism: number): void {
  if (costLog2 > 24 || (2 ** costLog2 * blockSize) / 8 > maxMemoryKib || 2 ** costLog2 * blockSize * parallelism > maxScryptWork)
    throw excessive()
}

// The longest sound value has two times 64 bytes in base64 and its parameters.
const maxStoredLength = 512
// The memory of one verification: of the two or so that run at once, half a gigabyte.
const maxMemoryKib = 262_144
// Memory times passes: at 64 MiB, 32 passes. One to two seconds, depending on the implementation.
const maxArgon2Work = 2 ** 21
const maxLanes = 16
// N * r * p: four times the strongest common recommendation (2^17, 8, 1), one and a half seconds.
const maxScryptWork = 2 ** 22
// Eight times the common recommendation for SHA-256 (600,000), under a second.
const maxPbkdf2Iterations = 5_000_000
// One and a half seconds; each step doubles it.
const maxBcryptCost = 15

const base64 = '([A-Za-z0-9+/]{11,88}={0,2})'
const number = '([1-9][0-9]{0,9})'
const bcryptAlphabet = './ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'

const readers: readonly (readonly [RegExp, (parts: string[]) => PasswordHash])[] = [
  [new RegExp(String.raw`^\$argon2id\$v=19\$m=${number},t=${number},p=${number}\$${base64}\$${base64}$`), readArgon2id],
  [new RegExp(String.raw`^\$scrypt\$ln=${number},r=${number},p=${number}\$${base64}\$${base64}$`), readScrypt],
  [new RegExp(String.raw`^\$pbkdf2-(sha1|sha256|sha512)\$i=${number}(?:,l=${number})?\$${base64}\$${base64}$`), readPbkdf2],
  // 2a, 2b and 2y are the same function for passwords of at most 72 bytes; 2x is a broken one.
  [/^(\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{53})$/, readBcrypt],
]

function readArgon2id([memory, time, lanes, salt, tag]: string[]): PasswordHash {
  const memoryKib = Number(memory)
  const passes = Number(time)
  const parallelism = Number(lanes)
  checkArgon2Work(memoryKib, passes, parallelism)
  // RFC 9106 section 3.1.
  if (memoryKib < 8 * parallelism) throw malformed()
  return { scheme: 'argon2id', memoryKib, passes, parallelism, ...saltAndTag(salt, tag) }
}

function readScrypt([ln, r, p, salt, tag]: string[]): PasswordHash {
  const costLog2 = Number(ln)
  const blockSize = Number(r)
  const parallelism = Number(p)
  checkScryptWork(costLog2, blockSize, parallelism)
  return { scheme: 'scrypt', costLog2, blockSize, parallelism, ...saltAndTag(salt, tag) }
}

function readPbkdf2([hash, i, length, salt, tag]: string[]): PasswordHash {
  const iterations = Number(i)
  if (iterations > maxPbkdf2Iterations) throw excessive()
  const parts = saltAndTag(salt, tag)
  if (length !== undefined && Number(length) !== parts.tag.length) throw malformed()
  return { scheme: 'pbkdf2', hash: hash === 'sha1' ? 'sha1' : hash === 'sha256' ? 'sha256' : 'sha512', iterations, ...parts }
}

function readBcrypt([text = '', cost]: string[]): PasswordHash {
  if (Number(cost) > maxBcryptCost) throw excessive()
  return { scheme: 'bcrypt', cost: Number(cost), text }
}

function saltAndTag(saltText = '', tagText = ''): { salt: Buffer; tag: Buffer } {
  const salt = fromBase64(saltText)
  const tag = fromBase64(tagText)
  // A short tag would match by chance; RFC 9106 section 3.1 and RFC 8018 section 4.1 on salts.
  if (salt === undefined || tag === undefined || salt.length < 8 || salt.length > 64 || tag.length < 16 || tag.length > 64)
    throw malformed()
  return { salt, tag }
}

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64').replace(/=+$/, '')
}

function malformed(): CryptoError {
  return new CryptoError('ERR_CRYPTO_PASSWORD_HASH_MALFORMED', 'A stored password value is in no form that can be verified.')
}

function excessive(): CryptoError {
  return new CryptoError('ERR_CRYPTO_WORK_EXCESSIVE', 'A password hash demands more computation or memory than allowed.')
}
