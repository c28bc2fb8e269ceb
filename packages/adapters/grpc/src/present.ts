import { status, type Metadata, type StatusObject } from '@grpc/grpc-js'
import { ConfigurationError, formatAuthorization, parseChallenges, type Credential } from '@portcullis/core'
import type { GrpcErrorCode } from './errors.ts'

/** Puts a credential into the metadata of a call. Throws `ERR_GRPC_CREDENTIAL` for a kind that has no form there. */
export function present(metadata: Metadata, credential: Credential): void {
  const authorization = formatAuthorization(credential)
  if (authorization !== undefined) metadata.set('authorization', authorization)
  else if (credential.kind === 'apiKey') metadata.set(credential.name, credential.key.reveal())
  else
    throw new ConfigurationError<GrpcErrorCode>(
      'ERR_GRPC_CREDENTIAL',
      `gRPC has no metadata for a credential of kind "${credential.kind}".`,
    )
  if (credential.kind === 'dpop') metadata.set('dpop', credential.proof)
}

/**
 * Whether a status says that another credential of the same kind would help: UNAUTHENTICATED, and either no challenges,
 * as other servers have it, or one that names an error. A challenge without an error says that something is missing
 * (RFC 6750 section 3.1), and one of Basic has none, so a wrong password is never sent twice.
 */
export function heed({ code, metadata }: StatusObject): 'refused' | 'settled' {
  if (code !== status.UNAUTHENTICATED) return 'settled'
  const challenges = metadata.get('www-authenticate').flatMap((value) => parseChallenges(String(value)))
  return challenges.length === 0 || challenges.some(({ parameters }) => parameters.has('error')) ? 'refused' : 'settled'
}
