import { createDecipheriv } from 'node:crypto'
import { fromBase64 } from './bytes.ts'
import { digest, digestLength, type DigestAlgorithm } from './digest.ts'
import { CryptoError } from './errors.ts'
import { checkOptions, invalid } from './options.ts'
import { revealText, type SecretText } from './secret-text.ts'

/** How {@link decryptLegacyValue} reads. */
export interface LegacyValueOptions {
  /**
   * The release of Ballerina whose encryption the value has: `1.2` (default) stands for all from 0.970 on. The older
   * two cannot be told apart from it, and a wrong choice is found only by chance.
   */
  readonly release?: LegacyRelease | undefined
}

/** The releases with an encryption of their own. */
export type LegacyRelease = '1.2' | '0.964' | '0.963'

/** Tells a value in one of the legacy wrappers of configuration files: `@sha256:{…}` and kin, or `@encrypted:{…}`. */
export function legacyForm(value: string): 'digest' | 'encrypted' | undefined {
  if (/^@sha(256|384|512):/.test(value)) return 'digest'
  return value.startsWith('@encrypted:') ? 'encrypted' : undefined
}

/**
 * Decrypts a value `@encrypted:{…}` of a Ballerina configuration file with the secret that it was encrypted under.
 *
 * Only for reading old files: the form has no integrity check, so a wrong secret or an altered value may go unnoticed
 * and give another text. Never decrypt a value that a peer supplied. Throws `ERR_CRYPTO_LEGACY_VALUE_MALFORMED`, or
 * `ERR_CRYPTO_PASSWORD_WRONG` where padding or UTF-8 show that the secret is wrong.
 */
export function decryptLegacyValue(value: string, secret: SecretText, options: LegacyValueOptions = {}): string {
  checkOptions('decryptLegacyValue()', options, { release: true })
  const { release = '1.2' } = options
  if (!Object.hasOwn(ciphers, release)) throw invalid(`The release of decryptLegacyValue() is one of ${Object.keys(ciphers).join(', ')}.`)
  const text = revealText('The secret of decryptLegacyValue()', secret)
  if (text === '') throw invalid('The secret of decryptLegacyValue() must not be empty.')
  const encoded = value.length > maxValueLength ? undefined : /^@encrypted:\{([A-Za-z0-9+/]+={0,2})\}$/.exec(value)?.[1]
  const bytes = encoded === undefined ? undefined : fromBase64(encoded)
  const { name, key, ivOf, ciphertextAt } = ciphers[release]
  if (bytes === undefined || bytes.length < ciphertextAt + 16 || bytes.length % 16 !== 0) throw malformed('@encrypted:{base64}')
  try {
    const decipher = createDecipheriv(name, key(text), ivOf(bytes))
    return utf8.decode(Buffer.concat([decipher.update(bytes.subarray(ciphertextAt)), decipher.final()]))
  } catch {
    throw new CryptoError('ERR_CRYPTO_PASSWORD_WRONG', 'The value cannot be decrypted: the secret is wrong, or the value damaged.')
  }
}

/** The parts of a value `@sha256:{hex}` and kin; `undefined` if it is not of this form at all. */
export function legacyDigest(value: string): { hash: DigestAlgorithm; tag: Buffer } | undefined {
  if (legacyForm(value) !== 'digest') return undefined
  const [, name, hex = ''] = /^@(sha256|sha384|sha512):\{([0-9A-Fa-f]+)\}$/.exec(value) ?? []
  const hash = name as DigestAlgorithm | undefined
  if (hash === undefined || hex.length !== 2 * digestLength(hash)) throw malformed('@sha256:{hex}')
  return { hash, tag: Buffer.from(hex, 'hex') }
}

// A configuration value, not a document.
const maxValueLength = 65_536

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

interface LegacyCipher {
  readonly name: string
  readonly key: (secret: string) => Buffer
  readonly ivOf: (bytes: Buffer) => Buffer | null
  readonly ciphertextAt: number
}

const ciphers: Readonly<Record<LegacyRelease, LegacyCipher>> = {
  '1.2': {
    name: 'aes-128-cbc',
    key: (secret) => digest('sha256', secret).subarray(0, 16),
    ivOf: (bytes) => bytes.subarray(0, 16),
    ciphertextAt: 16,
  },
  '0.964': {
    name: 'aes-256-cbc',
    key: (secret) => digest('sha256', secret),
    ivOf: () => digest('sha256', '0123456789ABCDEF').subarray(0, 16),
    ciphertextAt: 0,
  },
  '0.963': { name: 'aes-128-ecb', key: (secret) => Buffer.from(secret.padEnd(16, ' ')), ivOf: () => null, ciphertextAt: 0 },
}

function malformed(form: string): CryptoError {
  return new CryptoError('ERR_CRYPTO_LEGACY_VALUE_MALFORMED', `A value is not of the form ${form}.`)
}
