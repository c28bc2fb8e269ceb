import type { Credential, CredentialSource, Secret, Supplied } from '@portcullis/core'
import { ConfigurationError, forTargets, isSecret, sameCredential, secret, UnavailableError } from '@portcullis/core'

/**
 * A secret that a source sends: itself, or a function that is asked each time, for one that is replaced while the
 * process runs (a mounted file, a vault).
 */
export type SecretInput = string | Secret | (() => string | Secret | Promise<string | Secret>)

// A secret that is replaced this often, and refused each time, is wrong for another reason.
const maxRefusedPerTarget = 16

/**
 * Builds the sources of secrets that somebody configured; `make` turns the secret into the credential.
 *
 * What a target refused is not sent there again in the lifetime of the source, since a wrong password, repeated, locks
 * accounts. That ends with another secret, which only a function can yield, or with another source.
 */
export function staticSource(
  where: string,
  input: SecretInput,
  targets: readonly string[],
  make: (secret: Secret) => Credential,
): CredentialSource {
  const check = forTargets(where, targets)
  const current = currentCredential(where, input, make)
  const refusedAt = new Map<string, readonly Credential[]>()
  return (request) => {
    check(request)
    const { protocol, host } = new URL(request.target.origin)
    const origin = `${protocol}//${host}`
    const { refused } = request
    if (refused !== undefined) {
      const others = (refusedAt.get(origin) ?? []).filter((other) => !sameCredential(other, refused))
      refusedAt.set(origin, [refused, ...others].slice(0, maxRefusedPerTarget))
    }
    const supply = (credential: Credential): Supplied => {
      if (refusedAt.get(origin)?.some((other) => sameCredential(other, credential)) !== true) return { credential }
      throw new UnavailableError('ERR_SOURCE_EXHAUSTED', `${where} has nothing for ${origin} but what was refused there.`)
    }
    const credential = current()
    return credential instanceof Promise ? credential.then(supply) : supply(credential)
  }
}

function currentCredential(
  where: string,
  input: SecretInput,
  make: (secret: Secret) => Credential,
): () => Credential | Promise<Credential> {
  const read = (text: unknown): Credential => {
    if ((typeof text !== 'string' && !isSecret(text)) || secret(text).reveal() === '')
      throw new ConfigurationError('ERR_OPTION_INVALID', `The secret of ${where} must be a text or secret that is not empty.`)
    return make(secret(text))
  }
  if (typeof input !== 'function') {
    const fixed = read(input)
    return () => fixed
  }
  return () => {
    const text = input()
    return text instanceof Promise ? text.then(read) : read(text)
  }
}
