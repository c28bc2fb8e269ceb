import { checkOptions, requireText, type Clock } from '@portcullis/core'
import { createSecretKey, randomUUID } from 'node:crypto'
import { createSigner, type HmacAlgorithm, type SigningKey } from '@portcullis/jwt'
import * as oauth from 'oauth4webapi'
import { mistake } from './errors.ts'
import { secretReader, type SecretInput } from './secret-input.ts'

/** How a client proves itself to the authorization server, by its name in the IANA registry of token endpoint authentication methods. */
export type ClientAuthenticationMethod =
  | 'client_secret_basic'
  | 'client_secret_post'
  | 'client_secret_jwt'
  | 'private_key_jwt'
  | 'tls_client_auth'
  | 'none'

/** A client as the authorization server knows it. Made by the factory named after its method. */
export interface ClientAuthentication {
  readonly method: ClientAuthenticationMethod
  readonly clientId: string
  /** @internal Puts the proof into a request. */
  readonly authenticate: (context: AuthenticationParts) => void | Promise<void>
}

/** @internal What a method may read and change. */
export interface AuthenticationParts {
  readonly metadata: oauth.AuthorizationServer
  readonly body: URLSearchParams
  readonly headers: Headers
  readonly clock: Clock
}

/** What a client with a secret is made of. */
export interface ClientSecretOptions {
  readonly clientId: string
  readonly clientSecret: SecretInput
}

/** The secret in the `Authorization` field, form-encoded first (RFC 6749 section 2.3.1). The default of most servers. */
export function clientSecretBasic(options: ClientSecretOptions): ClientAuthentication {
  const { clientId, secret } = withSecret('clientSecretBasic', options)
  return made('client_secret_basic', clientId, async ({ metadata, body, headers }) =>
    oauth.ClientSecretBasic((await secret()).reveal())(metadata, { client_id: clientId }, body, headers),
  )
}

/** The secret in the body, for servers that do not take the header. */
export function clientSecretPost(options: ClientSecretOptions): ClientAuthentication {
  const { clientId, secret } = withSecret('clientSecretPost', options)
  return made('client_secret_post', clientId, async ({ body }) => {
    body.set('client_id', clientId)
    body.set('client_secret', (await secret()).reveal())
  })
}

/** What an assertion may say otherwise. */
export interface AssertionOptions {
  /** The `aud` of the assertion. Default: the issuer identifier of the server. */
  readonly audience?: string
}

/** The secret signs an assertion instead of being sent (RFC 7523 section 2.2, OpenID Connect Core section 9). */
export function clientSecretJwt(
  options: ClientSecretOptions & AssertionOptions & { readonly algorithm?: HmacAlgorithm },
): ClientAuthentication {
  const { audience, algorithm = 'HS256', ...rest } = options
  const { clientId, secret } = withSecret('clientSecretJwt', rest)
  return made('client_secret_jwt', clientId, async (parts) => {
    const key = { secret: createSecretKey(Buffer.from((await secret()).reveal(), 'utf8')), algorithm }
    await assert(parts, clientId, audience, createSigner({ key }))
  })
}

/** A private key signs an assertion (RFC 7523 section 2.2): the server holds no secret of this client. */
export function privateKeyJwt(
  options: AssertionOptions & { readonly clientId: string; readonly key: Extract<SigningKey, { readonly secret?: never }> },
): ClientAuthentication {
  checkOptions('privateKeyJwt', options, { clientId: true, key: true, audience: true })
  const clientId = requireText('privateKeyJwt clientId', options.clientId)
  if (options.key?.privateKey === undefined) throw mistake('ERR_OPTION_MISSING', 'privateKeyJwt key needs a privateKey.')
  const signer = createSigner({ key: options.key })
  return made('private_key_jwt', clientId, (parts) => assert(parts, clientId, options.audience, signer))
}

/** The client certificate of the connection (RFC 8705 section 2): the server's `tls` bundle must have a key pair. */
export function tlsClientAuth(options: { readonly clientId: string }): ClientAuthentication {
  return named('tls_client_auth', 'tlsClientAuth', options)
}

/** A public client, which names itself and proves nothing: programs on users' machines, with PKCE. */
export function none(options: { readonly clientId: string }): ClientAuthentication {
  return named('none', 'none', options)
}

/** The factories by the names of their methods, for configuration in data. */
export const clientAuthenticationMethods = Object.freeze({
  client_secret_basic: clientSecretBasic,
  client_secret_post: clientSecretPost,
  client_secret_jwt: clientSecretJwt,
  private_key_jwt: privateKeyJwt,
  tls_client_auth: tlsClientAuth,
  none,
}) satisfies Record<ClientAuthenticationMethod, unknown>

/** Refuses what was not made by one of the factories. */
export function requireClient(where: string, client: ClientAuthentication): ClientAuthentication {
  if (typeof client?.authenticate !== 'function' || !Object.hasOwn(clientAuthenticationMethods, client.method))
    throw mistake('ERR_OPTION_INVALID', `${where}: client must be made by clientSecretBasic(), privateKeyJwt() or one of the others.`)
  return client
}

function withSecret(where: string, options: ClientSecretOptions) {
  checkOptions<ClientSecretOptions>(where, options, { clientId: true, clientSecret: true })
  return {
    clientId: requireText(`${where} clientId`, options.clientId),
    secret: secretReader(`${where} clientSecret`, options.clientSecret),
  }
}

function named(method: ClientAuthenticationMethod, where: string, options: { readonly clientId: string }): ClientAuthentication {
  checkOptions<{ readonly clientId: string }>(where, options, { clientId: true })
  const clientId = requireText(`${where} clientId`, options.clientId)
  return made(method, clientId, ({ body }) => body.set('client_id', clientId))
}

function made(
  method: ClientAuthenticationMethod,
  clientId: string,
  authenticate: (parts: AuthenticationParts) => void | Promise<void>,
): ClientAuthentication {
  return Object.freeze({ method, clientId, authenticate })
}

// It is sent at once; a minute is for clocks.
const assertionSeconds = 60

async function assert(
  { metadata, body, clock }: AuthenticationParts,
  clientId: string,
  audience: string | undefined,
  signer: { sign(claims: Readonly<Record<string, unknown>>): Promise<string> },
): Promise<void> {
  const now = Math.floor(clock.now() / 1000)
  body.set('client_id', clientId)
  body.set('client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer')
  body.set(
    'client_assertion',
    await signer.sign({
      iss: clientId,
      sub: clientId,
      aud: audience ?? metadata.issuer,
      iat: now,
      exp: now + assertionSeconds,
      jti: randomUUID(),
    }),
  )
}
