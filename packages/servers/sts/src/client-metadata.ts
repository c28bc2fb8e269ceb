import type { ClientMetadata } from 'oidc-provider'
import { randomBytes } from 'node:crypto'
import type { ClientEntry, StsCertificateName } from './clients.ts'
import { grantTypes, type StsGrant } from './grants/grant.ts'

// The library wants a secret to be there; ours are compared by `ClientSecrets`, and nobody knows this one.
const noSecret = randomBytes(32).toString('base64url')

const certificateProperties: Readonly<Record<keyof StsCertificateName, string>> = {
  subject: 'tls_client_auth_subject_dn',
  dns: 'tls_client_auth_san_dns',
  uri: 'tls_client_auth_san_uri',
  email: 'tls_client_auth_san_email',
  ip: 'tls_client_auth_san_ip',
}

/** A client in the words of the library. Which grants it may use is judged by the grants, which have the right error for it. */
export function metadataOf(client: ClientEntry, grants: ReadonlySet<StsGrant>): ClientMetadata {
  return {
    client_id: client.id,
    grant_types: [...grants].map((grant) => grantTypes[grant]),
    response_types: [],
    redirect_uris: [],
    ...(client.tokens === 'dpop' && { dpop_bound_access_tokens: true }),
    ...(client.tokens === 'certificate' && { tls_client_certificate_bound_access_tokens: true }),
    ...proofOf(client),
  }
}

function proofOf({ proof }: ClientEntry): object {
  if (proof.keys !== undefined) return { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [...proof.keys.keys] } }
  if (proof.certificate !== undefined) {
    const names = Object.entries(proof.certificate).map(([kind, name]) => [certificateProperties[kind as keyof StsCertificateName], name])
    return { token_endpoint_auth_method: 'tls_client_auth', ...Object.fromEntries(names) }
  }
  if (proof.authentication === 'none') return { token_endpoint_auth_method: 'none' }
  return { token_endpoint_auth_method: 'client_secret_basic', client_secret: noSecret }
}
