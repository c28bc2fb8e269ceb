import { randomBytes, timingSafeEqual } from 'node:crypto'
import { digest } from './digest.ts'
import { CryptoError } from './errors.ts'
import { sharedHashingLimiter, type HashingLimiter, type HashingRequest } from './hashing-limiter.ts'
import { checkOptions } from './options.ts'
import { argon2id, bcryptMatches, pbkdf2Tag, scryptTag } from './password-algorithms.ts'
import { formatPasswordHash, parsePasswordHash, type PasswordHash } from './password-hash.ts'
import { checkPasswordPolicy, defaultPasswordPolicy, type PasswordPolicy } from './password-policy.ts'
import { revealText, type SecretText } from './secret-text.ts'

/** What verifying a password may be told. */
export interface VerifyPasswordOptions extends HashingRequest {
  /** What bounds the work. Default: the one that the whole process shares. */
  readonly limiter?: HashingLimiter | undefined
}

/** What hashing a password may be told. */
export interface HashPasswordOptions extends VerifyPasswordOptions {
  /** Algorithm and parameters. Default: {@link defaultPasswordPolicy}. */
  readonly policy?: PasswordPolicy | undefined
}

/**
 * Hashes a password into a PHC string with a random salt, for storing.
 *
 * The password is taken as its UTF-8 bytes, without normalisation, from 1 to 1,024 of them. Throws
 * `ERR_CRYPTO_PASSWORD_UNACCEPTABLE`, `ERR_CRYPTO_HASHING_OVERLOADED` when too much of this goes on,
 * `ERR_CRYPTO_ALGORITHM_UNAVAILABLE` if argon2id is asked for and nothing installed has it.
 */
export async function hashPassword(password: SecretText, options: HashPasswordOptions = {}): Promise<string> {
  checkOptions('hashPassword()', options, { policy: true, limiter: true, source: true, signal: true })
  const policy = checkPasswordPolicy(options.policy ?? defaultPasswordPolicy)
  const bytes = passwordBytes(password)
  if (bytes === undefined) {
    throw new CryptoError('ERR_CRYPTO_PASSWORD_UNACCEPTABLE', `A password must be well-formed Unicode of 1 to ${maxPasswordBytes} bytes.`)
  }
  const { algorithm: scheme, ...parameters } = policy
  const salt = randomBytes(16)
  const tag = Buffer.alloc(32)
  const hash = { scheme, ...parameters, salt, tag } as Extract<PasswordHash, { scheme: 'argon2id' | 'scrypt' }>
  return within(options, async () => formatPasswordHash({ ...hash, tag: await compute(hash, bytes) }))
}

/**
 * Tells whether the password is the one that a stored value was made of: argon2id, scrypt, PBKDF2, bcrypt, or the
 * legacy digests of old configuration files.
 *
 * A password that is empty, longer than 1,024 bytes or no well-formed Unicode is no one's; for bcrypt also one of more
 * than 72 bytes or with a NUL, of which bcrypt would look at a part only. Throws what {@link parsePasswordHash} throws,
 * `ERR_CRYPTO_HASHING_OVERLOADED`, and `ERR_CRYPTO_ALGORITHM_UNAVAILABLE` if argon2id or bcrypt are not there.
 */
export async function verifyPassword(
  password: SecretText,
  stored: string | PasswordHash,
  options: VerifyPasswordOptions = {},
): Promise<boolean> {
  checkOptions('verifyPassword()', options, { limiter: true, source: true, signal: true })
  const hash = typeof stored === 'string' ? parsePasswordHash(stored) : stored
  const bytes = passwordBytes(password)
  if (bytes === undefined) return false
  // One digest is no work worth a queue.
  if (hash.scheme === 'legacyDigest') return timingSafeEqual(digest(hash.hash, bytes), hash.tag)
  if (hash.scheme === 'bcrypt') return within(options, async () => bcryptMatches(bytes, hash.text))
  return within(options, async () => timingSafeEqual(await compute(hash, bytes), hash.tag))
}

type Salted = Exclude<PasswordHash, { scheme: 'bcrypt' | 'legacyDigest' }>

async function compute(hash: Salted, password: Buffer): Promise<Buffer> {
  if (hash.scheme === 'argon2id') return argon2id(hash, password)
  return hash.scheme === 'scrypt' ? scryptTag(hash, password) : pbkdf2Tag(hash, password)
}

async function within<T>({ limiter = sharedHashingLimiter(), source, signal }: VerifyPasswordOptions, work: () => Promise<T>): Promise<T> {
  return limiter.run(work, { source, signal })
}

// NIST SP 800-63B section 3.1.1.2 asks for at least 64 characters; the bound keeps the first hash of a long one cheap.
const maxPasswordBytes = 1024

function passwordBytes(password: SecretText): Buffer | undefined {
  const text = revealText('A password', password)
  // No character has less than one byte, so a huge text need not be encoded.
  if (text.length > maxPasswordBytes || !text.isWellFormed()) return undefined
  const bytes = Buffer.from(text, 'utf8')
  return bytes.length === 0 || bytes.length > maxPasswordBytes ? undefined : bytes
}
