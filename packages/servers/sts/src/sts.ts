import type { IncomingMessage, ServerResponse } from 'node:http'
import { ConfigurationError, everyone, guard, requireFunction, requireNumber, type PeerChannel } from '@portcullis/core'
import { serve, service as servicePaths, type Listener, type NodeHandler } from '@portcullis/http'
import { createVerifier } from '@portcullis/jwt'
import { anyAudience } from '@portcullis/jwt/danger'
import type { ResourceServer } from 'oidc-provider'
import { audiencesOf, type Audience } from './audiences.ts'
import type { ClientEntry } from './clients.ts'
import { configurationOf, routes } from './configuration.ts'
import { clientLookUp } from './directory.ts'
import { engineOf, type Engine } from './engine.ts'
import type { StsErrorCode } from './errors.ts'
import type { StsGrant } from './grants/grant.ts'
import { assertionsOf } from './grants/jwt-bearer.ts'
import { exchangePolicy } from './grants/token-exchange.ts'
import { generateKeys, readRing, ringOf, signingKey, writeRing, type KeyRing, type RingKey, type StsKey } from './keys.ts'
import { checkStsOptions, type StsOptions } from './options.ts'
import { ClientSecrets } from './password-check.ts'
import { Rotation } from './rotation.ts'
import type { Service } from './service.ts'
import { memoryState } from './state/memory.ts'
import type { StsState } from './state/state.ts'
import { TokenClaims } from './token-claims.ts'

/** A token service that runs. */
export interface Sts extends AsyncDisposable {
  /** `iss` of its tokens; its metadata are at `/.well-known/oauth-authorization-server` below (RFC 8414). */
  readonly issuer: string
  readonly port: number
  readonly tokenEndpoint: string
  readonly introspectionEndpoint: string
  readonly revocationEndpoint: string
  readonly jwksUri: string
  /**
   * Signs with these keys from now on; without any, with generated ones. Keys that are not among them stay published
   * until the last token that they signed has expired. Where several instances share a state, give all of them the new
   * key at the end of the list first, and at its beginning once verifiers have had the time to fetch it.
   */
  rotateKeys(keys?: readonly [StsKey, ...StsKey[]]): Promise<void>
  /** Stops: accepts nothing more, lets requests finish. The state stays open. */
  close(): Promise<void>
}

const defaultRefreshLifetimeSeconds = 1_209_600
const maxRefreshLifetimeSeconds = 31_536_000

/**
 * Starts a token service: an authorization server for services, with the client credentials and refresh token grants,
 * and the password, JWT assertion and token exchange grants where they are set up; introspection (RFC 7662), revocation
 * (RFC 7009), key set and metadata. Resolves when it listens.
 *
 * It has no users, clients or secrets but those given. Throws a `ConfigurationError` for what makes no sense, before it
 * listens. Its time is the machine's: there is no clock to inject.
 */
export async function createSts(options: StsOptions): Promise<Sts> {
  checkStsOptions(options)
  const { state = memoryState(), report = () => undefined, mayRefresh } = options
  requireFunction('createSts report', report)
  const grants = grantsOf(options)
  const audiences = audiencesOf(options.audiences)
  const clients = clientLookUp(options.clients, { audiences, grants })
  const claims = new TokenClaims(options.claims && requireFunction('createSts claims', options.claims))
  const refreshLifetimeSeconds = Math.floor(
    requireNumber('createSts refreshLifetimeSeconds', options.refreshLifetimeSeconds ?? defaultRefreshLifetimeSeconds, {
      min: 1,
      max: maxRefreshLifetimeSeconds,
    }),
  )
  if (mayRefresh !== undefined) requireFunction('createSts mayRefresh', mayRefresh)
  const exchange = options.exchange && exchangePolicy(options.exchange)
  const ring = await firstRing(options.keys, state)

  let rotation: Rotation | undefined
  const channels = new WeakMap<IncomingMessage, PeerChannel>()
  const listener = await open(options, (request, response, channel) => {
    channels.set(request, channel)
    return rotation === undefined ? void response.writeHead(503).end() : rotation.engine.handle(request, response)
  })
  const { origin: issuer } = listener
  const started = (): Rotation => {
    const secrets = new ClientSecrets()
    const assertions = options.assertions && assertionsOf(options.assertions, [issuer, `${issuer}${routes.token}`])
    const engineFor = (keys: KeyRing): Engine => {
      const service: Omit<Service, 'provider'> = {
        issuer,
        audiences,
        refreshLifetimeSeconds,
        assertions,
        exchange,
        users: options.passwordGrant?.users,
        client: (id) => clients.find(id),
        own: () => own,
        resource: (audience, client) => resourceOf(audience, client, keys.signing),
        channelOf: (request) => channels.get(request) ?? { from: 'peer', protocol: 'https', secure: false },
        note: (context, noted) => claims.note(context, noted),
      }
      const configuration = configurationOf({
        service,
        ring: keys,
        listed: clients.listed,
        state,
        grants,
        dpopNonceSecret: options.dpopNonceSecret,
        mayRefresh: async (subject, client) => {
          // One in plain JavaScript may answer anything.
          const answer: unknown = mayRefresh === undefined || (await mayRefresh({ subject, client }))
          return answer === true
        },
        claimsOf: async (context, token) => claims.of(context, token),
      })
      return engineOf({ service, configuration, grants, secrets, claims, report })
    }
    const made = new Rotation({ ring, audiences, state, report, engineFor })
    // For whom a token of our own is, the exchange itself judges.
    const own = createVerifier({ issuer, audience: anyAudience, keys: made.published, profile: 'rfc9068', verifyOn: 'eventLoop' })
    return made
  }
  try {
    const made = started()
    for (const { id } of clients.listed) await made.engine.check(id)
    rotation = made
  } catch (cause) {
    await listener.close({ graceMs: 0 })
    throw cause
  }
  const running = rotation
  const close = async (): Promise<void> => {
    running.stop()
    await listener.close()
  }
  return {
    issuer,
    port: listener.port,
    tokenEndpoint: `${issuer}${routes.token}`,
    introspectionEndpoint: `${issuer}${routes.introspection}`,
    revocationEndpoint: `${issuer}${routes.revocation}`,
    jwksUri: `${issuer}${routes.jwks}`,
    rotateKeys: (keys) => running.rotate(keys),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function grantsOf(options: StsOptions): ReadonlySet<StsGrant> {
  return new Set<StsGrant>([
    'client_credentials',
    'refresh_token',
    ...(options.passwordGrant === undefined ? [] : (['password'] as const)),
    ...(options.assertions === undefined ? [] : (['jwt_bearer'] as const)),
    ...(options.exchange === undefined ? [] : (['token_exchange'] as const)),
  ])
}

async function firstRing(keys: readonly StsKey[] | undefined, { isShared, signingKeys, name }: StsState): Promise<KeyRing> {
  if (keys !== undefined) return { signing: ringOf(keys), retired: [] }
  if (isShared)
    throw new ConfigurationError<StsErrorCode>(
      'ERR_STS_KEYS_REQUIRED',
      `createSts needs keys: instances that share the state "${name}" would sign with keys that the others do not publish.`,
    )
  const kept = await signingKeys?.read()
  if (kept !== undefined) return readRing(kept)
  const made = { signing: await generateKeys(), retired: [] }
  await signingKeys?.write(writeRing(made))
  return made
}

function resourceOf(audience: Audience, client: ClientEntry, signing: readonly RingKey[]): ResourceServer {
  const key = signingKey(signing, audience.algorithm)
  return {
    audience: audience.name,
    scope: [...client.scopes].filter((scope) => audience.scopes.has(scope)).join(' '),
    accessTokenTTL: audience.lifetimeSeconds,
    accessTokenFormat: audience.format,
    // The library's list of algorithms is the same as that of `createSigner`, which has judged the key.
    jwt: { sign: { alg: key.algorithm as 'ES256', kid: key.keyId } },
  }
}

type Handle = (request: IncomingMessage, response: ServerResponse, channel: PeerChannel) => void | Promise<void>

/** Everybody may ask; who is answered, the endpoints judge. What is not among them does not exist. */
function open({ tls, issuer, port = 0, host, limits, timeouts }: StsOptions, handle: Handle): Promise<Listener> {
  const anyone = guard({ name: 'sts', authenticate: everyone() })
  const handler: NodeHandler = { requestListener: (request, response, _principal, { channel }) => handle(request, response, channel) }
  return serve({
    tls,
    guard: anyone,
    port,
    // What is behind is written for the objects of HTTP/1.1.
    versions: ['http/1.1'],
    ...(host !== undefined && { host }),
    ...(issuer !== undefined && { origin: issuer }),
    ...(limits && { limits }),
    ...(timeouts && { timeouts }),
    services: [
      servicePaths({
        path: '/oauth2',
        guard: anyone,
        resources: [
          { method: 'POST', path: '/token', handler },
          { method: 'POST', path: '/introspect', handler },
          { method: 'POST', path: '/revoke', handler },
          { method: 'GET', path: '/jwks', handler },
        ],
      }),
      servicePaths({
        path: '/.well-known',
        guard: anyone,
        resources: [
          { method: 'GET', path: '/oauth-authorization-server', handler },
          { method: 'GET', path: '/openid-configuration', handler },
        ],
      }),
    ],
  })
}
