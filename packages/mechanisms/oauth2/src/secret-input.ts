import { ConfigurationError, isSecret, secret, type Secret } from '@portcullis/core'

/**
 * A secret of the configuration: itself, or a function that is asked each time, for one that is replaced while the
 * process runs (a mounted file, a vault, an assertion that is signed anew).
 */
export type SecretInput = string | Secret | (() => string | Secret | Promise<string | Secret>)

/** Reads a {@link SecretInput}; what is no text, or an empty one, is refused: a fixed one at once, the others when they are asked. */
export function secretReader(where: string, input: SecretInput): () => Promise<Secret> {
  if (typeof input === 'function') return async () => requireSecret(where, await input())
  const fixed = Promise.resolve(requireSecret(where, input))
  return () => fixed
}

function requireSecret(where: string, value: unknown): Secret {
  if (value === undefined) throw new ConfigurationError('ERR_OPTION_MISSING', `${where} is required.`)
  if ((typeof value !== 'string' && !isSecret(value)) || secret(value).reveal() === '')
    throw new ConfigurationError('ERR_OPTION_INVALID', `${where} must be a text or a secret that is not empty.`)
  return secret(value)
}
