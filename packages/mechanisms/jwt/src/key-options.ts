import type { Clock } from '@portcullis/core'
import { keySet, type KeySet, type LocalKeys } from './keys.ts'

/** The set of keys that an issuer's options describe. */
export function keysOf(keys: LocalKeys | readonly [LocalKeys, ...LocalKeys[]] | KeySet, _clock: Clock): KeySet {
  if (isKeySet(keys)) return keys
  return keySet(keys)
}

function isKeySet(keys: unknown): keys is KeySet {
  return (
    typeof keys === 'object' && keys !== null && !Array.isArray(keys) && typeof (keys as { readonly find?: unknown }).find === 'function'
  )
}
