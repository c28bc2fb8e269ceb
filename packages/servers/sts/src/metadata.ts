import { grantTypes, type StsGrant } from './grants/grant.ts'

const told = [
  'issuer',
  'token_endpoint',
  'introspection_endpoint',
  'revocation_endpoint',
  'jwks_uri',
  'token_endpoint_auth_methods_supported',
  'token_endpoint_auth_signing_alg_values_supported',
  'dpop_signing_alg_values_supported',
  'tls_client_certificate_bound_access_tokens',
]

/** The metadata (RFC 8414): what the library says, without what needs a browser. */
export function metadataDocument(
  said: Readonly<Record<string, unknown>>,
  grants: ReadonlySet<StsGrant>,
  scopes: readonly string[],
): object {
  const methods = said['token_endpoint_auth_methods_supported']
  return {
    ...Object.fromEntries(told.flatMap((name) => (said[name] === undefined ? [] : [[name, said[name]]]))),
    introspection_endpoint_auth_methods_supported: methods,
    revocation_endpoint_auth_methods_supported: methods,
    grant_types_supported: [...grants].map((grant) => grantTypes[grant]),
    scopes_supported: scopes,
    response_types_supported: [],
  }
}
