import type { Secret } from '@portcullis/core'
import { ConfigurationError, isSecurityError } from '@portcullis/core'
import type { HashingLimiter, PasswordHash } from '@portcullis/crypto'
import { decoyPasswordHash, decryptLegacyValue, equalConstantTime, legacyForm, parsePasswordHash, verifyPassword } from '@portcullis/crypto'
import { plainTextPasswords } from './danger.ts'
import type { AuthErrorCode } from './errors.ts'

/** What a store may read passwords from. */
export interface ReadingOptions {
  /** Decrypts values `@encrypted:{…}` of old configuration files. Without it they are refused. */
  readonly decryptionSecret?: Secret
  /** Only `plainTextPasswords` of `./danger` has any effect: it lets plain text count as password. */
  readonly plainText?: typeof plainTextPasswords
}

/** For whom a password is verified, and within which bounds. */
export interface VerifyingOptions {
  readonly source: string
  readonly signal: AbortSignal
  readonly limiter: HashingLimiter | undefined
}

/** How a password is stored. All but `hash` can be turned back into passwords, at once or by guessing fast. */
export type PasswordForm = 'hash' | 'legacy digest' | 'encrypted' | 'plain text'

/** A stored value, read. */
export interface StoredPassword {
  readonly form: PasswordForm
  /** Equal for values whose verification costs the same. */
  readonly cost: string
  verify(password: Secret, options: VerifyingOptions): Promise<boolean>
  /** A value that costs the same, for users who do not exist; whether it matches means nothing. */
  decoy(): StoredPassword
}

/**
 * Reads a stored value. Throws `ERR_PASSWORD_VALUE_UNSUPPORTED`, `ERR_PASSWORD_VALUE_PLAIN` and
 * `ERR_PASSWORD_VALUE_SECRET`; no message shows the value. A damaged hash is never taken for plain text.
 */
export function readStoredPassword(where: string, value: string, { decryptionSecret, plainText }: ReadingOptions): StoredPassword {
  if (legacyForm(value) === 'encrypted') {
    if (decryptionSecret === undefined)
      throw fault('ERR_PASSWORD_VALUE_SECRET', `${where}: the password is encrypted, and no decryptionSecret was given.`)
    const decrypt = (): string => decryptedText(where, value, decryptionSecret)
    decrypt()
    return comparison('encrypted', decrypt)
  }
  // Whatever looks like a hash or a wrapper is one, or damaged.
  if (value.startsWith('$') || /^@\w+:/.test(value)) return hashed(parsedHash(where, value))
  if (plainText !== plainTextPasswords)
    throw fault('ERR_PASSWORD_VALUE_PLAIN', `${where}: the password is no hash. Make one with "portcullis password hash".`)
  return comparison('plain text', () => value)
}

function hashed(hash: PasswordHash): StoredPassword {
  const { scheme, ...parts } = hash
  const parameters = Object.entries(parts).map(([name, part]) =>
    typeof part === 'number' || name === 'hash' ? `${name}=${String(part)}` : '',
  )
  return {
    form: scheme === 'legacyDigest' ? 'legacy digest' : 'hash',
    cost: `${scheme} ${parameters.join(' ')}`,
    verify: (password, { source, signal, limiter }) => verifyPassword(password, hash, { source, signal, limiter }),
    decoy: () => hashed(decoyPasswordHash(hash)),
  }
}

function comparison(form: 'encrypted' | 'plain text', reveal: () => string): StoredPassword {
  const self: StoredPassword = {
    form,
    cost: form,
    verify: (password) => Promise.resolve(equalConstantTime(reveal(), password.reveal())),
    decoy: () => self,
  }
  return self
}

function parsedHash(where: string, value: string): PasswordHash {
  try {
    return parsePasswordHash(value)
  } catch (cause) {
    throw new ConfigurationError('ERR_PASSWORD_VALUE_UNSUPPORTED', {
      message: `${where}: the password is in no form that is read here.`,
      cause,
    })
  }
}

function decryptedText(where: string, value: string, key: Secret): string {
  try {
    return decryptLegacyValue(value, key)
  } catch (cause) {
    const malformed = isSecurityError(cause, 'ERR_CRYPTO_LEGACY_VALUE_MALFORMED')
    throw malformed
      ? fault('ERR_PASSWORD_VALUE_UNSUPPORTED', `${where}: the encrypted password is damaged.`)
      : fault('ERR_PASSWORD_VALUE_SECRET', `${where}: the password cannot be decrypted; the secret is wrong, or the value damaged.`)
  }
}

function fault(code: AuthErrorCode, message: string): ConfigurationError {
  return new ConfigurationError(code, message)
}
