import { ConfigurationError, type Clock } from '@portcullis/core'
import { remoteKeySet, type RemoteKeysOptions } from './jwks.ts'
import { keySet, type KeySet, type LocalKeys } from './keys.ts'

/**
 * The keys of an issuer: at hand (a public key, a secret, a JWK set, or several of these), published by the issuer
 * (`jwksUri`), or a set made by `keySet()` or `remoteKeySet()`, to be exchanged or shared.
 */
export type KeysOption = LocalKeys | readonly [LocalKeys, ...LocalKeys[]] | RemoteKeysOptions | KeySet

/** The set of keys that an issuer's options describe. */
export function keysOf(keys: KeysOption, clock: Clock): KeySet {
  if (typeof keys !== 'object' || keys === null) throw new ConfigurationError('ERR_OPTION_MISSING', 'keys is required.')
  if (isList(keys)) return keySet(keys)
  if ('find' in keys) return keys
  return 'jwksUri' in keys ? remoteKeySet({ ...keys, clock }) : keySet(keys)
}

function isList(keys: KeysOption): keys is readonly [LocalKeys, ...LocalKeys[]] {
  return Array.isArray(keys)
}
