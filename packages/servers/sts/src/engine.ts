import type { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { ConfigurationError, type PeerChannel } from '@portcullis/core'
import { Provider, type Configuration, type errors, type KoaContextWithOIDC, type TokenEndpointGrantContext } from 'oidc-provider'
import { routes } from './configuration.ts'
import type { StsErrorCode } from './errors.ts'
import type { StsEvent, StsReport } from './events.ts'
import { clientCredentialsGrant } from './grants/client-credentials.ts'
import { grantTypes, type StsGrant } from './grants/grant.ts'
import { jwtBearerGrant } from './grants/jwt-bearer.ts'
import { passwordGrant } from './grants/password.ts'
import { tokenExchangeGrant } from './grants/token-exchange.ts'
import { metadataDocument } from './metadata.ts'
import type { ClientSecrets } from './password-check.ts'
import { TemporarilyUnavailable } from './refusal.ts'
import type { Service, TokenContext } from './service.ts'
import type { TokenClaims } from './token-claims.ts'

/** What runs below the listener: `oidc-provider` with one set of keys. A rotation makes a new one over the same state. */
export interface Engine {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => Promise<void>
  /** Has the library read a client, such as its keys. Throws `ERR_STS_CLIENT_INVALID`. */
  readonly check: (id: string) => Promise<void>
}

/** What an engine is made of. */
export interface EngineInit {
  readonly service: Omit<Service, 'provider'>
  readonly configuration: Configuration
  readonly grants: ReadonlySet<StsGrant>
  readonly secrets: ClientSecrets
  readonly claims: TokenClaims
  readonly report: StsReport
}

type Handler = (service: Service, context: TokenContext) => Promise<void>

const handlers: Readonly<Record<Exclude<StsGrant, 'refresh_token'>, { readonly handle: Handler; readonly parameters: readonly string[] }>> =
  {
    client_credentials: { handle: clientCredentialsGrant, parameters: [] },
    password: { handle: passwordGrant, parameters: ['username', 'password'] },
    jwt_bearer: { handle: jwtBearerGrant, parameters: ['assertion'] },
    token_exchange: {
      handle: tokenExchangeGrant,
      parameters: ['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'requested_token_type'],
    },
  }

/** Makes an engine, and has the library check what it was told. */
export function engineOf({ service: shared, configuration, grants, secrets, claims, report }: EngineInit): Engine {
  const provider = new Provider(shared.issuer, configuration)
  // Scheme and host are set by the listener, from its configuration; see `handle`.
  provider.proxy = true
  const service: Service = { ...shared, provider }
  for (const grant of grants) {
    if (grant === 'refresh_token') continue
    const { handle, parameters } = handlers[grant]
    // The library types parameters as unknown records; those named here are texts, given at most once.
    const handler = (context: TokenEndpointGrantContext): Promise<void> => handle(service, context as TokenContext)
    provider.registerGrantType(grantTypes[grant], handler, [...parameters, 'scope', 'resource', 'audience'])
  }
  provider.Client.prototype.compareClientSecret = async function compare(presented: string): Promise<boolean> {
    const request = Provider.ctx?.req
    const client = await service.client(this.clientId)
    return request !== undefined && client !== undefined && secrets.proves(client, presented, service.channelOf(request))
  }
  const scopes = [...new Set([...shared.audiences.values()].flatMap((audience) => [...audience.scopes]))]
  provider.use(async (context, next) => {
    await next()
    const { body } = context
    if (context.path.startsWith('/.well-known/') && context.status === 200)
      context.body = metadataDocument(body as Readonly<Record<string, unknown>>, grants, scopes)
  })
  listen(provider, claims, (request) => service.channelOf(request), report)
  const { host, protocol } = new URL(shared.issuer)
  const callback = provider.callback()
  return {
    async handle(request, response) {
      // What URLs are built of, and proofs are matched with, comes from the configuration and never from the peer.
      request.headers['host'] = host
      request.headers['x-forwarded-proto'] = protocol.slice(0, -1)
      delete request.headers['x-forwarded-host']
      await callback(request, response)
    },
    async check(id) {
      try {
        await provider.Client.find(id)
      } catch (cause) {
        throw new ConfigurationError<StsErrorCode>('ERR_STS_CLIENT_INVALID', { message: `Client "${id}" cannot be used.`, cause })
      }
    },
  }
}

function listen(provider: Provider, claims: TokenClaims, channelOf: (request: IncomingMessage) => PeerChannel, report: StsReport): void {
  const tell = (context: KoaContextWithOIDC | undefined, event: DistributiveOmit<StsEvent, 'time' | 'remoteAddress'>): void => {
    try {
      report({ ...event, time: new Date(), remoteAddress: context && channelOf(context.req).remoteAddress })
    } catch {
      // A log that fails is no reason to refuse tokens.
    }
  }
  provider.on('grant.success', (context) => {
    const issued = claims.issued(context)
    if (issued !== undefined) tell(context, { type: 'issued', ...issued })
  })
  const refused = (context: KoaContextWithOIDC, error: errors.OIDCProviderError): void => {
    const endpoint = context.path
    if (error instanceof TemporarilyUnavailable) {
      if (error.retryAfterMs !== undefined) context.set('retry-after', String(Math.ceil(error.retryAfterMs / 1000)))
      return tell(context, { type: 'failed', endpoint, cause: error.cause })
    }
    const detail = error.error_detail ?? error.error_description
    const client = context.oidc.client?.clientId
    const type = detail === 'refresh token already used' ? 'reused' : 'refused'
    tell(context, { type, endpoint, error: error.error, detail, client })
  }
  provider.on('grant.error', refused)
  provider.on('introspection.error', refused)
  provider.on('revocation.error', refused)
  provider.on('server_error', (context, cause) => tell(context, { type: 'failed', endpoint: context.path, cause }))
  // Without a listener Koa writes to the console.
  const emitter: EventEmitter = provider
  emitter.on('error', (cause: unknown) => tell(undefined, { type: 'failed', endpoint: routes.token, cause }))
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
