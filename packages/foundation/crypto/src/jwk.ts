import type { KeyObject } from 'node:crypto'
import { fromBase64url } from './bytes.ts'
import { CryptoError } from './errors.ts'
import type { JsonWebKey } from './key-source.ts'
import { invalid } from './options.ts'

type Kind = 'public' | 'private' | 'secret'

interface Members {
  /** The members that the thumbprint is made of, in the order of RFC 7638 section 3.2. */
  readonly required: readonly string[]
  /** Those of them, and of the private ones, that hold bytes as base64url. */
  readonly bytes: readonly string[]
  /** The members that only a private or secret key has. */
  readonly secret: readonly string[]
}

const rsaSecret = ['d', 'p', 'q', 'dp', 'dq', 'qi'] as const

// RFC 7518 section 6, RFC 8037 section 2, RFC 9964 section 3.
const jwkMembers: ReadonlyMap<unknown, Members> = new Map<string, Members>([
  ['EC', { required: ['crv', 'kty', 'x', 'y'], bytes: ['x', 'y', 'd'], secret: ['d'] }],
  ['RSA', { required: ['e', 'kty', 'n'], bytes: ['e', 'n', ...rsaSecret], secret: rsaSecret }],
  ['OKP', { required: ['crv', 'kty', 'x'], bytes: ['x', 'd'], secret: ['d'] }],
  ['AKP', { required: ['alg', 'kty', 'pub'], bytes: ['pub', 'priv'], secret: ['priv'] }],
  ['oct', { required: ['k', 'kty'], bytes: ['k'], secret: ['k'] }],
])

// ML-DSA-87 has the longest member, 2,592 bytes; an RSA key of 16,384 bits has members of 2,048.
const maxMemberLength = 8192

/**
 * Refuses a JWK that is not of the kind asked for, or whose members are not canonical base64url: the runtime would
 * take several spellings of one key, and derive a public key from a private one without a word.
 */
export function checkJwk(jwk: JsonWebKey, kind: Kind): void {
  const members = membersOf(jwk)
  if ((jwk.kty === 'oct') !== (kind === 'secret')) {
    throw new CryptoError('ERR_CRYPTO_KEY_WRONG_KIND', `A ${kind} key is needed, and this is a JWK of type ${String(jwk.kty)}.`)
  }
  if (kind === 'public' && members.secret.some((name) => memberOf(jwk, name) !== undefined)) {
    throw new CryptoError('ERR_CRYPTO_KEY_WRONG_KIND', 'A public key is needed, and this JWK holds a private one.')
  }
  if (kind === 'private' && memberOf(jwk, members.secret[0] ?? '') === undefined) {
    throw new CryptoError('ERR_CRYPTO_KEY_WRONG_KIND', 'A private key is needed, and this JWK holds a public one.')
  }
  if (memberOf(jwk, 'oth') !== undefined)
    throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', 'RSA keys with more than two primes are not supported.')
  requiredOf(jwk)
  for (const name of members.secret) {
    if (memberOf(jwk, name) !== undefined) textOf(jwk, name, members)
  }
}

/** The members that make the thumbprint, in its order. Throws `ERR_CRYPTO_KEY_MALFORMED` if one is missing or not canonical. */
export function requiredOf(jwk: JsonWebKey): [name: string, value: string][] {
  const members = membersOf(jwk)
  return members.required.map((name) => [name, textOf(jwk, name, members)])
}

function textOf(jwk: JsonWebKey, name: string, { bytes }: Members): string {
  const value = memberOf(jwk, name)
  const isSound =
    typeof value === 'string' &&
    value !== '' &&
    value.length <= maxMemberLength &&
    (!bytes.includes(name) || fromBase64url(value) !== undefined)
  if (!isSound) throw malformed(name)
  return value
}

/** The public members of a public or private key as a JWK, and nothing else. Throws `ERR_CRYPTO_KEY_WRONG_KIND` for a secret. */
export function publicJwk(key: KeyObject): JsonWebKey {
  if (key.type === 'secret') throw new CryptoError('ERR_CRYPTO_KEY_WRONG_KIND', 'A secret has no public JWK.')
  let jwk: JsonWebKey
  try {
    jwk = key.export({ format: 'jwk' })
  } catch (cause) {
    throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', 'The key has no form as a JWK.', { cause })
  }
  return Object.fromEntries(requiredOf(jwk))
}

/** The members table of a JWK's type. */
function membersOf(jwk: JsonWebKey): Members {
  if (typeof jwk !== 'object' || jwk === null) throw invalid('A JWK is an object.')
  const members = jwkMembers.get(jwk.kty)
  if (members === undefined) throw new CryptoError('ERR_CRYPTO_KEY_UNSUPPORTED', 'A JWK is of type EC, RSA, OKP, AKP or oct.')
  return members
}

/** A member of the JWK itself, never an inherited one. */
function memberOf(jwk: JsonWebKey, name: string): unknown {
  return Object.hasOwn(jwk, name) ? (jwk as Record<string, unknown>)[name] : undefined
}

function malformed(name: string): CryptoError {
  return new CryptoError('ERR_CRYPTO_KEY_MALFORMED', `The member "${name}" of the JWK is missing, too long or no canonical base64url.`)
}
