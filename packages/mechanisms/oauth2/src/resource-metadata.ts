import { checkOptions, requireTexts } from '@portcullis/core'
import { requireHttps } from './authorization-server.ts'

/** What a protected resource says of itself (RFC 9728 section 2). */
export interface ResourceMetadataOptions {
  /** Its identifier: an https URL, the `resource` that clients ask tokens for. */
  readonly resource: string
  /** The issuers whose tokens it takes. */
  readonly authorizationServers: readonly [string, ...string[]]
  readonly scopes?: readonly [string, ...string[]]
  readonly name?: string
  readonly documentation?: string
  /** Whether only tokens bound to a key are taken (RFC 9449). */
  readonly dpopOnly?: boolean
  readonly dpopAlgorithms?: readonly [string, ...string[]]
  /** Whether only tokens bound to a certificate are taken (RFC 8705). */
  readonly certificateBoundOnly?: boolean
}

/** The document, and where it belongs. */
export interface ResourceMetadata {
  /** To be answered as `application/json` to whoever asks, without credentials. */
  readonly document: Readonly<Record<string, unknown>>
  /** The path of the document on the resource's origin (RFC 9728 section 3.1). */
  readonly path: string
  /** Its URL, for the option `resourceMetadata` of the mechanisms. */
  readonly url: string
}

/** Makes the metadata by which clients find out where a resource's tokens come from (RFC 9728). */
export function resourceMetadata(options: ResourceMetadataOptions): ResourceMetadata {
  checkOptions<ResourceMetadataOptions>('resourceMetadata', options, {
    resource: true,
    authorizationServers: true,
    scopes: true,
    name: true,
    documentation: true,
    dpopOnly: true,
    dpopAlgorithms: true,
    certificateBoundOnly: true,
  })
  const { name, documentation, dpopOnly, certificateBoundOnly } = options
  const resource = requireHttps('resourceMetadata resource', options.resource)
  const { origin, pathname, search } = new URL(resource)
  const path = `/.well-known/oauth-protected-resource${pathname === '/' ? '' : pathname}${search}`
  return Object.freeze({
    document: Object.freeze({
      resource,
      authorization_servers: requireTexts('resourceMetadata authorizationServers', options.authorizationServers).map((issuer) =>
        requireHttps('resourceMetadata authorizationServers', issuer),
      ),
      // Tokens in bodies and query parameters are taken by nothing here.
      bearer_methods_supported: ['header'],
      ...(options.scopes !== undefined && { scopes_supported: requireTexts('resourceMetadata scopes', options.scopes) }),
      ...(name !== undefined && { resource_name: name }),
      ...(documentation !== undefined && { resource_documentation: requireHttps('resourceMetadata documentation', documentation) }),
      ...(dpopOnly === true && { dpop_bound_access_tokens_required: true }),
      ...(options.dpopAlgorithms !== undefined && {
        dpop_signing_alg_values_supported: requireTexts('resourceMetadata dpopAlgorithms', options.dpopAlgorithms),
      }),
      ...(certificateBoundOnly === true && { tls_client_certificate_bound_access_tokens: true }),
    }),
    path,
    url: `${origin}${path}`,
  })
}
