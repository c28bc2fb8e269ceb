import type { Authenticator, Claims, Credential, Principal, Secret } from '@portcullis/core'
import {
  authenticator,
  checkOptions,
  ConfigurationError,
  credentialOf,
  isSecret,
  notMine,
  refused,
  requireText,
  requireTexts,
  secret,
  vouchForPrincipal,
} from '@portcullis/core'
import { digest } from '@portcullis/crypto'
import { isValidDate } from './valid-date.ts'

/** A key and whose it is. */
export interface ApiKey {
  /** At least {@link minKeyLength} characters, from a random generator: a digest protects it only because nobody can guess it. */
  readonly key: string | Secret
  readonly subject: string
  readonly scopes?: readonly string[]
  readonly claims?: Claims
  /** When the key stops to be accepted. A key without end leaves it out: `undefined` is refused, as it may be a date that was not found. */
  readonly expiresAt?: Date
}

/** How {@link apiKeys} is set up. */
export interface ApiKeysOptions {
  /** Becomes the `issuer` of the principals. */
  readonly name: string
  /** Where the key stands: the name of a header or field of its own, or `bearer` for `Authorization: Bearer`. */
  readonly carrier: string
  readonly keys: readonly ApiKey[]
  /** With the carrier `bearer`, the realm of the challenge; it has no place otherwise. */
  readonly realm?: string
}

/** The shortest key that is taken, in characters: 22 of base64url are 128 bits. */
export const minKeyLength = 22

/**
 * Proves owners of static keys: opaque tokens without structure, configured on both sides. Prefer tokens that expire.
 *
 * Keys are held as digests and found by digest, so the time of a look-up tells nothing about them and does not grow
 * with their number. A key that is not configured, or whose time is over, is refused with `ERR_API_KEY_REFUSED`.
 */
export function apiKeys(options: ApiKeysOptions): Authenticator {
  checkOptions<ApiKeysOptions>('apiKeys', options, { name: true, carrier: true, keys: true, realm: true })
  const name = requireText('The name of apiKeys', options.name)
  const carrier = requireText('The carrier of apiKeys', options.carrier).toLowerCase()
  if (options.realm !== undefined && carrier !== 'bearer')
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      'The realm of apiKeys belongs to the carrier "bearer"; other carriers have no challenge to put it in.',
    )
  if (!Array.isArray(options.keys) || options.keys.length === 0)
    throw new ConfigurationError('ERR_OPTION_INVALID', 'The keys of apiKeys must be a list that is not empty.')
  const owners = new Map<string, Principal>()
  for (const entry of options.keys) {
    const found = digestOf(requireKey(entry))
    if (owners.has(found))
      throw new ConfigurationError('ERR_USER_DUPLICATE', `apiKeys "${name}" has one key twice, the second time for "${entry.subject}".`)
    owners.set(found, ownerOf(name, entry))
  }
  return authenticator(
    `apiKeys ${name}`,
    ({ credentials }, { clock }) => {
      const key = keyIn(credentials, carrier)
      if (key === undefined) return notMine
      const owner = owners.get(digestOf(key))
      return owner === undefined || owner.expiresAtMs <= clock.now() ? refused('ERR_API_KEY_REFUSED') : owner
    },
    carrier === 'bearer'
      ? [
          {
            scheme: 'Bearer',
            ...(options.realm !== undefined && { parameters: { realm: requireText('The realm of apiKeys', options.realm) } }),
          },
        ]
      : [],
  )
}

function keyIn(credentials: readonly Credential[], carrier: string): Secret | undefined {
  if (carrier === 'bearer') return credentialOf(credentials, 'bearer')?.token
  for (const credential of credentials) if (credential.kind === 'apiKey' && credential.name === carrier) return credential.key
  return undefined
}

function ownerOf(issuer: string, entry: ApiKey): Principal {
  checkOptions<ApiKey>('A key of apiKeys', entry, { key: true, subject: true, scopes: true, claims: true, expiresAt: true })
  if ('expiresAt' in entry && !isValidDate(entry.expiresAt))
    throw new ConfigurationError('ERR_OPTION_INVALID', `The expiresAt of the key of "${entry.subject}" in apiKeys must be a valid Date.`)
  return vouchForPrincipal({
    issuer,
    subject: requireText('The subject of a key of apiKeys', entry.subject),
    ...(entry.scopes !== undefined && { scopes: requireTexts('The scopes of a key of apiKeys', entry.scopes) }),
    ...(entry.claims !== undefined && { claims: entry.claims }),
    ...(entry.expiresAt && { expiresAt: entry.expiresAt }),
  })
}

function requireKey({ key, subject }: ApiKey): Secret {
  if ((typeof key !== 'string' && !isSecret(key)) || secret(key).reveal().length < minKeyLength) {
    throw new ConfigurationError(
      'ERR_OPTION_INVALID',
      `The key of "${subject}" in apiKeys must have at least ${minKeyLength} characters, from a random generator.`,
    )
  }
  return secret(key)
}

function digestOf(key: Secret): string {
  return digest('sha256', key.reveal(), 'latin1')
}
