import type { UserStore } from '@portcullis/auth'
import { checkOptions, ConfigurationError, isSecret, requireText, requireTexts, type Secret } from '@portcullis/core'
import type { JsonWebKeySet } from '@portcullis/jwt'
import { scopesOf, type Audience } from './audiences.ts'
import type { StsErrorCode } from './errors.ts'
import { isGrant, type StsGrant } from './grants/grant.ts'

/** The name that a client's certificate must hold (RFC 8705 section 2.1.2); one of them. */
export interface StsCertificateName {
  /** The whole subject as RFC 4514 writes it, most specific first: `CN=shop,O=Example`. */
  readonly subject?: string
  readonly dns?: string
  readonly uri?: string
  readonly email?: string
  /** IPv4 in dotted form, IPv6 in eight groups without abbreviation. */
  readonly ip?: string
}

/** How a client proves itself: in exactly one way, so that a stronger one cannot be gone round by a weaker. */
export type StsClientProof =
  | {
      /**
       * A secret, in the header or in the body (`client_secret_basic`, `client_secret_post`): as it is, at least
       * 16 characters; as hash in PHC form; or in a store that knows the client's identifier as user name.
       */
      readonly secret: Secret | { readonly hash: string } | UserStore
      readonly keys?: never
      readonly certificate?: never
      readonly authentication?: never
    }
  | {
      /** The public keys of its assertions (`private_key_jwt`, RFC 7523 section 2.2). */
      readonly keys: JsonWebKeySet
      readonly secret?: never
      readonly certificate?: never
      readonly authentication?: never
    }
  | {
      /** The name in its certificate (`tls_client_auth`, RFC 8705 section 2.1); `tls` must ask for client certificates. */
      readonly certificate: StsCertificateName
      readonly secret?: never
      readonly keys?: never
      readonly authentication?: never
    }
  | {
      /** It cannot keep a secret: a program on its user's device. Only for `password` and `refresh_token`. */
      readonly authentication: 'none'
      readonly secret?: never
      readonly keys?: never
      readonly certificate?: never
    }

/** What a client may do. */
export interface StsClientRights {
  /** `client_id`. */
  readonly id: string
  /** Its ways to tokens. Default: none, for a service that only introspects. */
  readonly grants?: readonly [StsGrant, ...StsGrant[]]
  /** For whom it gets tokens. With one, a request need not name it; with several it must (`audience` or `resource`). */
  readonly audiences?: readonly [string, ...string[]]
  /** The scopes that it gets, where the audience knows them. */
  readonly scopes?: readonly [string, ...string[]]
  /** The audiences that it is: it introspects their tokens, and exchanges those that callers sent it. */
  readonly serves?: readonly [string, ...string[]]
  /** `dpop` or `certificate`: it gets no token that is not bound to its key (RFC 9449) or certificate (RFC 8705). Default: `bearer`, where a DPoP proof that it brings binds all the same. */
  readonly tokens?: 'bearer' | 'dpop' | 'certificate'
}

/** A client of the token service. */
export type StsClient = StsClientRights & StsClientProof

/** A client, checked. */
export interface ClientEntry {
  readonly id: string
  readonly grants: ReadonlySet<StsGrant>
  readonly audiences: readonly string[]
  readonly scopes: ReadonlySet<string>
  readonly serves: ReadonlySet<string>
  readonly tokens: 'bearer' | 'dpop' | 'certificate'
  readonly proof: StsClientProof
}

/** What the token service as a whole can do, against which a client is checked. */
export interface Abilities {
  readonly audiences: ReadonlyMap<string, Audience>
  readonly grants: ReadonlySet<StsGrant>
}

// 16 characters of a random alphabet are beyond guessing at any speed that a network allows.
const minSecretLength = 16
const known = {
  id: true,
  grants: true,
  audiences: true,
  scopes: true,
  serves: true,
  tokens: true,
  secret: true,
  keys: true,
  certificate: true,
  authentication: true,
} as const
const publicGrants: ReadonlySet<StsGrant> = new Set(['password', 'refresh_token'])

/** Checks a client. Throws a `ConfigurationError` whose message never shows a secret. */
export function clientOf(client: StsClient, abilities: Abilities): ClientEntry {
  checkOptions<Record<keyof typeof known, unknown>>('A client', client as never, known)
  const id = requireText('The id of a client', client.id)
  const where = `Client "${id}"`
  const { grants = [], tokens = 'bearer' } = client
  if (!/^[\x20-\x7E]+$/.test(id)) throw invalid(`${where}: an id has printable ASCII characters only (RFC 6749 appendix A.1).`)
  checkProof(where, client)
  for (const grant of grants) {
    if (!isGrant(grant)) throw invalid(`${where}: "${String(grant)}" is no grant.`)
    if (!abilities.grants.has(grant))
      throw new ConfigurationError<StsErrorCode>(
        'ERR_STS_GRANT_NOT_CONFIGURED',
        `${where} may use ${grant}, for which createSts lacks what it needs: ${needs[grant]}.`,
      )
    if (client.authentication === 'none' && !publicGrants.has(grant)) throw invalid(`${where}: ${grant} needs a client that proves itself.`)
  }
  if (tokens !== 'bearer' && tokens !== 'dpop' && tokens !== 'certificate')
    throw invalid(`${where}: tokens is "bearer", "dpop" or "certificate".`)
  const audiences = client.audiences === undefined ? [] : requireTexts(`${where}: audiences`, client.audiences)
  const serves = client.serves === undefined ? [] : requireTexts(`${where}: serves`, client.serves)
  for (const audience of [...audiences, ...serves]) {
    if (!abilities.audiences.has(audience))
      throw new ConfigurationError<StsErrorCode>(
        'ERR_STS_AUDIENCE_UNKNOWN',
        `${where} names the audience "${audience}", which is not there.`,
      )
  }
  if (grants.length > 0 && audiences.length === 0) throw invalid(`${where} may ask for tokens and names no audience that they are for.`)
  return {
    id,
    grants: new Set(grants),
    audiences,
    scopes: new Set(client.scopes === undefined ? [] : scopesOf(`${where}: scopes`, client.scopes)),
    serves: new Set(serves),
    tokens,
    proof: client,
  }
}

const needs: Readonly<Record<StsGrant, string>> = {
  client_credentials: 'nothing',
  refresh_token: 'nothing',
  password: 'passwordGrant',
  jwt_bearer: 'assertions',
  token_exchange: 'exchange',
}

function checkProof(where: string, { secret, keys, certificate, authentication }: StsClientProof): void {
  if ([secret, keys, certificate, authentication].filter((proof) => proof !== undefined).length !== 1)
    throw invalid(`${where} takes exactly one of secret, keys, certificate and authentication: "none".`)
  if (authentication !== undefined && authentication !== 'none') throw invalid(`${where}: authentication is "none" or absent.`)
  if (keys !== undefined && !(Array.isArray(keys.keys) && keys.keys.length > 0)) throw invalid(`${where}: keys is a JWK set with a key.`)
  if (certificate !== undefined) {
    checkOptions<StsCertificateName>(`${where}: certificate`, certificate, { subject: true, dns: true, uri: true, email: true, ip: true })
    const names = Object.values(certificate)
    if (names.length !== 1) throw invalid(`${where}: certificate takes exactly one name.`)
    requireText(`${where}: certificate`, names[0])
  }
  if (secret === undefined) return
  if (typeof secret === 'string') throw invalid(`${where}: wrap the secret by secret(…) of @portcullis/core, so that it is never printed.`)
  if (isSecret(secret)) {
    if (secret.reveal().length < minSecretLength) throw invalid(`${where}: the secret has fewer than ${minSecretLength} characters.`)
  } else if (!('hash' in secret ? typeof secret.hash === 'string' : typeof secret?.authenticate === 'function'))
    throw invalid(`${where}: secret is a Secret, { hash } or a user store.`)
}

function invalid(message: string): ConfigurationError<StsErrorCode> {
  return new ConfigurationError('ERR_STS_CLIENT_INVALID', message)
}
