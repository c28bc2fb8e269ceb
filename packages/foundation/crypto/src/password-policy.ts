import { checkOptions, invalid, wholeNumber } from './options.ts'
import { checkArgon2Work, checkScryptWork, parsePasswordHash, type PasswordHash } from './password-hash.ts'

/** scrypt (RFC 7914), which every runtime has. */
export interface ScryptPolicy {
  readonly algorithm: 'scrypt'
  /** The cost N as a power of two. Default 14: 16 MiB of memory, with the other defaults 0.2 seconds of a core. */
  readonly costLog2?: number | undefined
  /** Default 8, as everywhere. */
  readonly blockSize?: number | undefined
  /** How often the work is done, without more memory. Default 5, the usual companion of 2^14. */
  readonly parallelism?: number | undefined
}

/** argon2id (RFC 9106), by the optional package `@node-rs/argon2`, or by a runtime that has it. */
export interface Argon2idPolicy {
  readonly algorithm: 'argon2id'
  /** Default 19,456 (19 MiB): with two passes the usual minimum, ten milliseconds of a core. */
  readonly memoryKib?: number | undefined
  /** Default 2. */
  readonly passes?: number | undefined
  /** Default 1. */
  readonly parallelism?: number | undefined
}

/** How new passwords are hashed. */
export type PasswordPolicy = ScryptPolicy | Argon2idPolicy

/** scrypt at its defaults. It is not argon2id, so that installing an optional package changes nothing. */
export const defaultPasswordPolicy: PasswordPolicy = Object.freeze({ algorithm: 'scrypt' })

/** A policy with all its parameters. */
export type SoundPolicy =
  | { readonly [K in keyof ScryptPolicy]-?: Exclude<ScryptPolicy[K], undefined> }
  | { readonly [K in keyof Argon2idPolicy]-?: Exclude<Argon2idPolicy[K], undefined> }

// The weakest pairs of memory and work of the OWASP cheat sheet on password storage: argon2id 7 MiB with 5 passes,
// scrypt 2^13 with 10 repetitions. Work is memory times passes; for scrypt N * r * p.
const least = {
  argon2id: { memory: 7168, work: 35_840 },
  scrypt: { memory: 2 ** 13 * 8, work: 2 ** 13 * 8 * 10 },
}

/**
 * Fills in and checks a policy: parameters below the common minimum or above what `parsePasswordHash` takes are
 * refused. Throws `ERR_CRYPTO_OPTION_*`, `ERR_CRYPTO_WORK_EXCESSIVE`.
 */
export function checkPasswordPolicy(policy: PasswordPolicy): SoundPolicy {
  const sound = fill(policy)
  const { memory, work } = weigh(sound)
  if (memory < least[sound.algorithm].memory || work < least[sound.algorithm].work) {
    throw invalid(`The parameters of ${sound.algorithm} are below the common minimum.`)
  }
  return sound
}

function fill(policy: PasswordPolicy): SoundPolicy {
  const most = 2 ** 24
  const whole = (name: string, value: number) => wholeNumber(`The ${name} of a password policy`, value, 1, most)
  if (policy.algorithm === 'scrypt') {
    checkOptions('A scrypt policy', policy, { algorithm: true, costLog2: true, blockSize: true, parallelism: true })
    const costLog2 = whole('costLog2', policy.costLog2 ?? 14)
    const blockSize = whole('blockSize', policy.blockSize ?? 8)
    const parallelism = whole('parallelism', policy.parallelism ?? 5)
    checkScryptWork(costLog2, blockSize, parallelism)
    return { algorithm: 'scrypt', costLog2, blockSize, parallelism }
  }
  if (policy.algorithm === 'argon2id') {
    checkOptions('An argon2id policy', policy, { algorithm: true, memoryKib: true, passes: true, parallelism: true })
    const memoryKib = whole('memoryKib', policy.memoryKib ?? 19_456)
    const passes = whole('passes', policy.passes ?? 2)
    const parallelism = whole('parallelism', policy.parallelism ?? 1)
    checkArgon2Work(memoryKib, passes, parallelism)
    return { algorithm: 'argon2id', memoryKib, passes, parallelism }
  }
  throw invalid('The algorithm of a password policy is scrypt or argon2id.')
}

/**
 * Tells whether a stored value should be replaced, at the next login, by a new hash of the password: it is of another
 * scheme than the policy, or has less memory or less work. Throws what {@link parsePasswordHash} throws.
 */
export function needsRehash(stored: string | PasswordHash, policy: PasswordPolicy = defaultPasswordPolicy): boolean {
  const hash = typeof stored === 'string' ? parsePasswordHash(stored) : stored
  const wanted = checkPasswordPolicy(policy)
  if (hash.scheme !== 'argon2id' && hash.scheme !== 'scrypt') return true
  if (hash.scheme !== wanted.algorithm || hash.salt.length < 16 || hash.tag.length < 32) return true
  const has = weigh(hash.scheme === 'scrypt' ? { algorithm: 'scrypt', ...hash } : { algorithm: 'argon2id', ...hash })
  const wants = weigh(wanted)
  return has.memory < wants.memory || has.work < wants.work
}

function weigh(policy: SoundPolicy): { memory: number; work: number } {
  if (policy.algorithm === 'argon2id') return { memory: policy.memoryKib, work: policy.memoryKib * policy.passes }
  const memory = 2 ** policy.costLog2 * policy.blockSize
  return { memory, work: memory * policy.parallelism }
}
