import type { KeyObject } from 'node:crypto'
import { checkOptions, ConfigurationError, requireText, type Secret } from '@portcullis/core'
import { parsePrivateKey, parsePublicKey, type InlinePrivateKeySource, type InlinePublicKeySource } from '@portcullis/crypto'
import { errorOf, isRefused, type JwtErrorCode } from './errors.ts'
import { secretKey } from './keys.ts'

/**
 * How the key of the content is agreed on (RFC 7518 section 4). RSA1_5 and passwords (PBES2) are not here: the first
 * tells an attacker too much, the second lets a peer choose how much work we do.
 */
export type KeyManagement =
  | 'RSA-OAEP-256'
  | 'RSA-OAEP'
  | 'ECDH-ES'
  | 'ECDH-ES+A128KW'
  | 'ECDH-ES+A256KW'
  | 'A128KW'
  | 'A256KW'
  | 'A128GCMKW'
  | 'A256GCMKW'
  | 'dir'

/** How the content is encrypted (RFC 7518 section 5); all of them authenticate it too. */
export type ContentEncryption = 'A128GCM' | 'A256GCM' | 'A128CBC-HS256' | 'A256CBC-HS512'

type KeyKind = { readonly types: readonly string[] } | { readonly bytes: number | 'content' }

const rsa: KeyKind = { types: ['rsa'] }
const agreement: KeyKind = { types: ['ec', 'x25519'] }

const managements: Readonly<Record<KeyManagement, KeyKind>> = {
  'RSA-OAEP-256': rsa,
  'RSA-OAEP': rsa,
  'ECDH-ES': agreement,
  'ECDH-ES+A128KW': agreement,
  'ECDH-ES+A256KW': agreement,
  A128KW: { bytes: 16 },
  A256KW: { bytes: 32 },
  A128GCMKW: { bytes: 16 },
  A256GCMKW: { bytes: 32 },
  dir: { bytes: 'content' },
}
const contentBytes: Readonly<Record<ContentEncryption, number>> = { A128GCM: 16, A256GCM: 32, 'A128CBC-HS256': 32, 'A256CBC-HS512': 64 }

const allEncryptions = Object.keys(contentBytes) as readonly ContentEncryption[]

/** A key of the recipient's, with what it is used for and nothing else. */
export type DecryptionKey = {
  /** The `kid` of the tokens that it opens. Without one, it stands for every `kid` that no other key has. */
  readonly keyId?: string
  readonly algorithm: KeyManagement
} & (
  | { readonly privateKey: InlinePrivateKeySource; readonly secret?: never }
  | { readonly secret: Secret | Uint8Array | KeyObject; readonly privateKey?: never }
)

/** How encrypted tokens are opened. */
export interface DecryptionOptions {
  readonly keys: readonly [DecryptionKey, ...DecryptionKey[]]
  /** Default: all that are known. */
  readonly encryptions?: readonly [ContentEncryption, ...ContentEncryption[]]
}

/** For whom a token is encrypted, and how. */
export type EncryptionOptions = {
  readonly algorithm: KeyManagement
  /** Default: A256GCM. */
  readonly encryption?: ContentEncryption
  readonly keyId?: string
} & (
  | { readonly publicKey: InlinePublicKeySource; readonly secret?: never }
  | { readonly secret: Secret | Uint8Array | KeyObject; readonly publicKey?: never }
)

/** A key, bound to one way of key management. */
export interface BoundKey {
  readonly key: KeyObject
  readonly keyId: string | undefined
  readonly algorithm: KeyManagement
}

/** {@link DecryptionOptions}, checked. */
export interface Decryption {
  readonly keys: readonly BoundKey[]
  readonly encryptions: readonly ContentEncryption[]
}

/**
 * Encrypts a signed token for its recipient, so that nobody on the way can read it (RFC 7519 section 11.2: sign first,
 * then encrypt). Throws a `ConfigurationError` for a key that does not fit.
 */
export async function encryptToken(token: string, options: EncryptionOptions): Promise<string> {
  return tokenEncrypter(options)(token)
}

/** Makes {@link encryptToken} for many tokens of one recipient: the options are checked, and the key read, at once. */
export function tokenEncrypter(options: EncryptionOptions): (token: string) => Promise<string> {
  checkOptions<Required<EncryptionOptions>>('encryption', options as Required<EncryptionOptions>, {
    algorithm: true,
    encryption: true,
    keyId: true,
    publicKey: true,
    secret: true,
  })
  const encryption = requireEncryption(options.encryption ?? 'A256GCM')
  const key = options.secret === undefined ? parsePublicKey(options.publicKey) : secretKey(options.secret)
  const bound = bind(key, options, [encryption])
  return async (token) => {
    const { encrypt } = await import('./jwe.ts')
    return encrypt(token, bound, encryption)
  }
}

/**
 * Opens an encrypted token and hands out the signed one inside, **not verified**; for verifying, give `decryption` to
 * the verifier instead. Rejects with an `AuthenticationError`: `ERR_JWT_ENCRYPTION_NOT_ALLOWED`,
 * `ERR_JWT_DECRYPTION_FAILED`, or a code for unreadable tokens.
 */
export async function decryptToken(token: string, options: DecryptionOptions): Promise<string> {
  const decryption = requireDecryption(options)
  const { decrypt } = await import('./jwe.ts')
  const result = await decrypt(token, decryption)
  if (isRefused(result)) throw errorOf(result)
  return result
}

/** Checks and loads what opens encrypted tokens. */
export function requireDecryption(options: DecryptionOptions): Decryption {
  checkOptions<DecryptionOptions>('decryption', options, { keys: true, encryptions: true })
  const { keys, encryptions = allEncryptions } = options
  if (!Array.isArray(keys) || keys.length === 0)
    throw new ConfigurationError('ERR_OPTION_INVALID', 'decryption.keys must be a list that is not empty.')
  if (!Array.isArray(encryptions) || encryptions.length === 0) {
    throw new ConfigurationError('ERR_OPTION_INVALID', 'decryption.encryptions must be a list that is not empty.')
  }
  const known = (encryptions as readonly ContentEncryption[]).map(requireEncryption)
  return { keys: (keys as readonly DecryptionKey[]).map((key) => decryptionKey(key, known)), encryptions: known }
}

function decryptionKey(options: DecryptionKey, encryptions: readonly ContentEncryption[]): BoundKey {
  checkOptions<Required<DecryptionKey>>('decryption.keys', options as Required<DecryptionKey>, {
    keyId: true,
    algorithm: true,
    privateKey: true,
    secret: true,
  })
  const { privateKey, secret } = options
  if ((privateKey === undefined) === (secret === undefined)) {
    throw new ConfigurationError('ERR_OPTION_MISSING', 'A decryption key takes one of privateKey and secret.')
  }
  return bind(privateKey === undefined ? secretKey(secret) : parsePrivateKey(privateKey), options, encryptions)
}

function bind(
  key: KeyObject,
  { algorithm, keyId }: { readonly algorithm: KeyManagement; readonly keyId?: string },
  encryptions: readonly ContentEncryption[],
): BoundKey {
  if (!Object.hasOwn(managements, algorithm)) throw unknown(algorithm)
  const kind = managements[algorithm]
  if ('types' in kind) {
    if (!kind.types.includes(key.asymmetricKeyType ?? '')) throw unusable(`${algorithm} needs a key of type ${kind.types.join(' or ')}`)
  } else {
    const lengths = kind.bytes === 'content' ? encryptions.map((name) => contentBytes[name]) : [kind.bytes]
    if (key.type !== 'secret' || !lengths.includes(key.symmetricKeySize ?? 0))
      throw unusable(`${algorithm} needs a secret of ${lengths.join(' or ')} bytes`)
  }
  return { key, keyId: keyId === undefined ? undefined : requireText('keyId', keyId), algorithm }
}

function requireEncryption(name: ContentEncryption): ContentEncryption {
  if (!Object.hasOwn(contentBytes, name)) throw unknown(name)
  return name
}

function unknown(name: unknown): ConfigurationError<JwtErrorCode> {
  return new ConfigurationError('ERR_JWT_ALGORITHM_UNKNOWN', `"${String(name)}" is no algorithm that encrypts tokens here.`)
}

function unusable(why: string): ConfigurationError<JwtErrorCode> {
  return new ConfigurationError('ERR_JWT_KEY_UNUSABLE', `The key cannot be used: ${why}.`)
}
