import { createSecretKey, type KeyObject } from 'node:crypto'
import { fromBase64url, toBytes } from './bytes.ts'
import { CryptoError } from './errors.ts'
import { secretKeyOf } from './hmac.ts'
import { checkJwk } from './jwk.ts'
import { formOf, isKeyObject, readSourceFile, type InlineSecretKeySource, type SecretKeySource } from './key-source.ts'
import { revealText } from './secret-text.ts'

/**
 * Loads a secret for HMAC or AES from text (as UTF-8), bytes, a file, a JWK of type `oct` or a key object.
 *
 * An empty secret is refused; whether one is long enough depends on its use and is checked there.
 * Throws `ERR_CRYPTO_OPTION_*`, `ERR_CRYPTO_FILE_UNREADABLE`, `ERR_CRYPTO_KEY_MALFORMED`, `ERR_CRYPTO_KEY_WRONG_KIND`.
 */
export async function loadSecretKey(source: SecretKeySource): Promise<KeyObject> {
  if (isKeyObject(source)) return parseSecretKey(source)
  formOf('loadSecretKey()', source, ['secret', 'secretFile', 'jwk'], false)
  if (!('secretFile' in source)) return parseSecretKey(source)
  const bytes = await readSourceFile(source.secretFile)
  // Editors and `echo` end a file with a line end that nobody means as part of the secret.
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : bytes.length
  return secretKeyOf(bytes.subarray(0, end))
}

/** As {@link loadSecretKey}, at once, for a source that is at hand already. */
export function parseSecretKey(source: InlineSecretKeySource): KeyObject {
  if (isKeyObject(source)) return secretKeyOf(source)
  formOf('parseSecretKey()', source, ['secret', 'jwk'], false)
  if ('secret' in source) {
    const { secret } = source
    return secretKeyOf(secret instanceof Uint8Array ? secret : toBytes('A secret', revealText('A secret', secret)))
  }
  checkJwk(source.jwk, 'secret')
  const bytes = fromBase64url(source.jwk.k ?? '')
  if (bytes === undefined || bytes.length === 0) throw new CryptoError('ERR_CRYPTO_KEY_MALFORMED', 'The JWK holds no secret.')
  return createSecretKey(bytes)
}
