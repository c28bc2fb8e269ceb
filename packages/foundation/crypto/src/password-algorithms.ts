import * as crypto from 'node:crypto'
import { promisify } from 'node:util'
import type * as Bcrypt from '@node-rs/bcrypt'
import { CryptoError } from './errors.ts'
import type { PasswordHash } from './password-hash.ts'

type Hash<Scheme extends PasswordHash['scheme']> = Extract<PasswordHash, { scheme: Scheme }>

const scryptAsync = promisify<Uint8Array, Uint8Array, number, crypto.ScryptOptions, Buffer>(crypto.scrypt)
const pbkdf2Async = promisify(crypto.pbkdf2)

export async function scryptTag({ costLog2, blockSize: r, parallelism: p, salt, tag }: Hash<'scrypt'>, password: Buffer): Promise<Buffer> {
  const N = 2 ** costLog2
  // The runtime's own bound is 32 MiB; ours was checked when the parameters were read.
  const maxmem = 128 * r * (N + p + 2)
  try {
    return await scryptAsync(password, salt, tag.length, { N, r, p, maxmem })
  } catch (cause) {
    throw failed('scrypt', cause)
  }
}

export async function pbkdf2Tag({ hash, iterations, salt, tag }: Hash<'pbkdf2'>, password: Buffer): Promise<Buffer> {
  try {
    return await pbkdf2Async(password, salt, iterations, tag.length, hash)
  } catch (cause) {
    throw failed('PBKDF2', cause)
  }
}

/** By `@node-rs/argon2`, which is twice as fast, or else by the runtime; both give the same tag. */
export async function argon2id(hash: Hash<'argon2id'>, password: Buffer): Promise<Buffer> {
  const compute = await (argon2 ??= findArgon2())
  try {
    return await compute(hash, password)
  } catch (cause) {
    throw failed('argon2id', cause)
  }
}

export async function bcryptMatches(password: Buffer, text: string): Promise<boolean> {
  // bcrypt stops at a NUL and looks at no more than 72 bytes: any password that begins alike would match.
  if (password.length > 72 || password.includes(0)) return false
  const { verify } = await (bcrypt ??= findBcrypt())
  try {
    return await verify(password, text)
  } catch (cause) {
    throw failed('bcrypt', cause)
  }
}

type Argon2 = (hash: Hash<'argon2id'>, password: Buffer) => Promise<Buffer>

let argon2: Promise<Argon2> | undefined
let bcrypt: Promise<typeof Bcrypt> | undefined

async function findArgon2(): Promise<Argon2> {
  try {
    const { hashRaw } = await import('@node-rs/argon2')
    return async ({ memoryKib, passes, parallelism, salt, tag }, password) =>
      hashRaw(password, { memoryCost: memoryKib, timeCost: passes, parallelism, outputLen: tag.length, salt })
  } catch (cause) {
    if (!isMissing(cause)) throw unavailable('argon2id', '@node-rs/argon2', cause)
  }
  // Looked up, not imported by name: older runtimes have no such export.
  const runtime: Partial<Pick<typeof crypto, 'argon2'>> = crypto
  const { argon2: compute } = runtime
  if (compute === undefined) throw unavailable('argon2id', '@node-rs/argon2', undefined)
  return async ({ memoryKib: memory, passes, parallelism, salt: nonce, tag }, message) =>
    new Promise((resolve, reject) => {
      compute('argon2id', { message, nonce, parallelism, tagLength: tag.length, memory, passes }, (error, derived) => {
        if (error === null) resolve(derived)
        else reject(error)
      })
    })
}

async function findBcrypt(): Promise<typeof Bcrypt> {
  try {
    return await import('@node-rs/bcrypt')
  } catch (cause) {
    throw unavailable('bcrypt', '@node-rs/bcrypt', cause)
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND')
}

function unavailable(algorithm: string, name: string, cause: unknown): CryptoError {
  return new CryptoError('ERR_CRYPTO_ALGORITHM_UNAVAILABLE', `${algorithm} needs the package ${name} to be installed.`, { cause })
}

function failed(algorithm: string, cause: unknown): CryptoError {
  return new CryptoError('ERR_CRYPTO_OPERATION_FAILED', `${algorithm} failed inside the runtime.`, { cause })
}
