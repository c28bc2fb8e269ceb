import { createHash, X509Certificate } from 'node:crypto'
import type { PeerChannel, Secret } from '@portcullis/core'
import { errors, type Client, type Configuration, type KoaContextWithOIDC, type ResourceServer } from 'oidc-provider'
import { holdsName } from './certificate-name.ts'
import { metadataOf } from './client-metadata.ts'
import type { ClientEntry } from './clients.ts'
import type { StsGrant } from './grants/grant.ts'
import { privateSet, type KeyRing } from './keys.ts'
import { unauthorizedClient } from './refusal.ts'
import type { Service } from './service.ts'
import { StateAdapter } from './state/adapter.ts'
import type { StsState } from './state/state.ts'

/** Where the endpoints are, below the issuer. */
export const routes = {
  token: '/oauth2/token',
  introspection: '/oauth2/introspect',
  revocation: '/oauth2/revoke',
  jwks: '/oauth2/jwks',
} as const

/** What the library below is told. */
export interface ConfigurationInit {
  readonly service: Pick<Service, 'audiences' | 'client' | 'resource' | 'channelOf' | 'refreshLifetimeSeconds'>
  readonly ring: KeyRing
  /** Clients that do not change; the others are looked up for each request. */
  readonly listed: readonly ClientEntry[]
  readonly state: StsState
  readonly grants: ReadonlySet<StsGrant>
  readonly dpopNonceSecret: Secret | undefined
  readonly mayRefresh: (subject: string, client: string) => Promise<boolean>
  readonly claimsOf: (context: object, token: TokenModel) => Promise<Record<string, unknown> | undefined>
}

/** What the library's tokens have in common. */
export interface TokenModel {
  readonly kind: string
  readonly accountId?: string | undefined
  readonly clientId?: string | undefined
  readonly aud?: string | readonly string[] | undefined
  readonly scope?: string | undefined
  /** Seconds from now until it expires. The library has it, its types do not. */
  readonly expiration?: number
}

const off = { enabled: false } as const

/** The library, set up for tokens of services and nothing that needs a browser. */
export function configurationOf(init: ConfigurationInit): Configuration {
  const { service, ring, state, dpopNonceSecret } = init
  const algorithms = [...new Set(ring.signing.map(({ algorithm }) => algorithm))]
  return {
    adapter: (model: string) => (model === 'Client' ? clientAdapter(service, init.grants) : new StateAdapter(model, state)),
    clients: init.listed.map((client) => metadataOf(client, init.grants)),
    jwks: privateSet(ring),
    // Clients have an algorithm for ID tokens, which are never issued; it must be one that there is a key for.
    clientDefaults: { grant_types: [], response_types: [], id_token_signed_response_alg: algorithms[0] } as NonNullable<
      Configuration['clientDefaults']
    >,
    enabledJWA: { idTokenSigningAlgValues: algorithms } as NonNullable<Configuration['enabledJWA']>,
    clientAuthMethods: ['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'tls_client_auth', 'none'],
    // No browser is to call from another site's page; the keys and the metadata are everybody's.
    clientBasedCORS: () => false,
    responseTypes: [],
    scopes: [],
    claims: {},
    routes,
    features: {
      clientCredentials: { enabled: true },
      devInteractions: off,
      rpInitiatedLogout: off,
      pushedAuthorizationRequests: off,
      userinfo: off,
      dPoP: {
        enabled: true,
        ...(dpopNonceSecret && { nonceSecret: createHash('sha256').update(dpopNonceSecret.reveal()).digest() }),
        requireNonce: () => dpopNonceSecret !== undefined,
      },
      introspection: {
        enabled: true,
        allowedPolicy: async (_context, { clientId }, token) => {
          // What was issued to a client that is gone is worth nothing any more.
          const holder = token.clientId === undefined ? undefined : await service.client(token.clientId)
          return holder !== undefined && mayIntrospect(await service.client(clientId), token)
        },
      },
      revocation: { enabled: true, allowedPolicy: mayRevoke },
      mTLS: {
        enabled: true,
        certificateBoundAccessTokens: true,
        tlsClientAuth: true,
        selfSignedTlsClientAuth: false,
        getCertificate: (context) => certificateOf(service.channelOf(context.req)),
        // One that was presented and did not hold never got as far as a channel.
        certificateAuthorized: (context) => service.channelOf(context.req).certificate !== undefined,
        certificateSubjectMatches: (context, property, expected) => {
          const { certificate } = service.channelOf(context.req)
          return certificate !== undefined && holdsName(certificate, property, expected)
        },
      },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_context, _client, oneOf) => oneOf ?? [],
        useGrantedResource: () => true,
        getResourceServerInfo: async (_context, name, { clientId }) => {
          const client = await service.client(clientId)
          const audience = client?.audiences.includes(name) === true ? service.audiences.get(name) : undefined
          if (client === undefined || audience === undefined)
            throw new errors.InvalidTarget('the audience is not one of the client any more')
          return service.resource(audience, client)
        },
      },
    },
    // Whoever has a refresh token uses it once (RFC 9700 section 4.14.2).
    rotateRefreshToken: () => true,
    issueRefreshToken: () => false,
    expiresWithSession: () => false,
    findAccount: async (context, subject) =>
      (await init.mayRefresh(subject, context.oidc.client?.clientId ?? ''))
        ? { accountId: subject, claims: () => ({ sub: subject }) }
        : undefined,
    extraTokenClaims: (context, token) => init.claimsOf(context, token),
    ttl: {
      AccessToken: lifetimeOf,
      ClientCredentials: lifetimeOf,
      // A login ends when it was to end, however often it is refreshed.
      RefreshToken: (context) => Math.max(1, context.oidc.entities.RotatedRefreshToken?.remainingTTL ?? service.refreshLifetimeSeconds),
      Grant: () => service.refreshLifetimeSeconds,
    },
    renderError: (context, out) => {
      context.type = 'json'
      context.body = out
    },
  }

  function lifetimeOf(context: KoaContextWithOIDC, token: { readonly resourceServer?: ResourceServer | undefined }): number {
    const ofAudience = token.resourceServer?.accessTokenTTL ?? 1
    return Math.max(1, Math.min(ofAudience, context.oidc.entities.Grant?.remainingTTL ?? ofAudience))
  }
}

function clientAdapter({ client }: Pick<Service, 'client'>, grants: ReadonlySet<StsGrant>) {
  const never = (): Promise<never> => Promise.reject(new Error('Clients are configured, not stored.'))
  return {
    find: async (id: string) => {
      const found = await client(id)
      return found && metadataOf(found, grants)
    },
    upsert: never,
    findByUid: never,
    findByUserCode: never,
    consume: never,
    destroy: never,
    revokeByGrantId: never,
  }
}

function certificateOf({ certificate }: PeerChannel): X509Certificate | undefined {
  return certificate && new X509Certificate(certificate.der)
}

/** A service learns of tokens that are for it, and a client of its own (RFC 7662 section 4). */
function mayIntrospect(client: ClientEntry | undefined, token: TokenModel): boolean {
  if (client === undefined) return false
  if (token.clientId === client.id) return true
  const audiences = typeof token.aud === 'string' ? [token.aud] : (token.aud ?? [])
  return token.kind !== 'RefreshToken' && audiences.some((audience) => client.serves.has(audience))
}

function mayRevoke(_context: unknown, client: Client, token: TokenModel): boolean {
  if (token.clientId === client.clientId) return true
  throw unauthorizedClient('the token was issued to another client')
}
