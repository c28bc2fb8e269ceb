import { ConfigurationError, formatAuthorization, parseChallenges, type Credential } from '@portcullis/core'

/** Puts a credential into the fields of a request. Throws `ERR_HTTP_CREDENTIAL_UNSUPPORTED` for a kind that HTTP has no field for. */
export function present(headers: Headers, credential: Credential): void {
  const authorization = formatAuthorization(credential)
  if (authorization !== undefined) headers.set('authorization', authorization)
  else if (credential.kind === 'apiKey') headers.set(credential.name, credential.key.reveal())
  else throw new ConfigurationError('ERR_HTTP_CREDENTIAL_UNSUPPORTED', `HTTP has no field for a credential of kind "${credential.kind}".`)
  if (credential.kind === 'dpop') headers.set('dpop', credential.proof)
}

/**
 * Whether an answer says that another credential of the same kind would help: 401, and a challenge that names an error.
 * A challenge without one says that something is missing (RFC 6750 section 3.1), and a Basic challenge has none, so a
 * wrong password is never sent twice.
 */
export function heed(status: number, headers: Headers): 'refused' | 'settled' {
  if (status !== 401) return 'settled'
  const challenges = headers.get('www-authenticate')
  return challenges !== null && parseChallenges(challenges).some(({ parameters }) => parameters.has('error')) ? 'refused' : 'settled'
}
