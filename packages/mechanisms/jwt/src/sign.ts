import { createPublicKey, randomUUID, type KeyObject } from 'node:crypto'
import {
  checkOptions,
  ConfigurationError,
  requireNumber,
  requireText,
  requireTexts,
  systemClock,
  type Clock,
  type Secret,
} from '@portcullis/core'
import { parsePrivateKey, publicJwk, type InlinePrivateKeySource } from '@portcullis/crypto'
import { defaultAlgorithms, signatureMaker, type Algorithm, type SignatureMaker } from './algorithms.ts'
import { requireGiven } from './claims.ts'
import { maxTokenLength } from './compact.ts'
import type { JwtErrorCode } from './errors.ts'
import { requireAlgorithms, secretKey, type JsonWebKey, type JsonWebKeySet } from './keys.ts'

/** The key that signs: a private one, or a secret that is shared with whoever verifies. */
export type SigningKey =
  | {
      /** A private key at hand; from a file, `await loadPrivateKey(…)` of `@portcullis/crypto` first. */
      readonly privateKey: InlinePrivateKeySource
      readonly secret?: never
      /** Goes into the header as `kid`, by which the verifier finds the key. */
      readonly keyId?: string
      /** Default: the first algorithm of its curve or type, RS256 for RSA. */
      readonly algorithm?: Algorithm
    }
  | {
      readonly secret: Secret | Uint8Array | KeyObject
      readonly privateKey?: never
      readonly keyId?: string
      /** Default: HS256. */
      readonly algorithm?: Algorithm
    }

/** Further header parameters; `alg`, `typ`, `kid`, `crit` and `b64` are not among them. */
export type ExtraHeader = Readonly<Record<string, unknown>> & { readonly [K in 'alg' | 'typ' | 'kid' | 'crit' | 'b64']?: never }

/** What one token says. */
export interface TokenContent {
  readonly subject?: string
  readonly audience?: string | readonly [string, ...string[]]
  /** `jti`. Default: a random UUID, so that each token can be revoked by itself. */
  readonly jwtId?: string
  /** How long it is valid, in seconds, counted from now. Default: 300, since a token that leaks should not serve for long. */
  readonly expiresInSeconds?: number
  /** Further claims; `iss`, `sub`, `aud`, `exp`, `nbf`, `iat` and `jti` have options of their own. */
  readonly claims?: Readonly<Record<string, unknown>>
}

/** What all tokens of one issuer have; each token may say otherwise, except for the issuer. */
export interface IssuerSettings extends TokenContent {
  readonly issuer: string
  readonly key: SigningKey
  /** The `typ` of the header. Default: `JWT`; access tokens have `at+jwt` (RFC 9068 section 2.1). */
  readonly typ?: string
  readonly header?: ExtraHeader
  readonly clock?: Clock
}

/** Issues tokens with one key. Made by {@link createIssuer}. */
export interface Issuer {
  /** Issues a token with `exp`, `nbf`, `iat` and `jti`. */
  issue(content?: TokenContent): Promise<string>
  /** The same, with the time at which it expires. */
  issueWithExpiry(content?: TokenContent): Promise<{ readonly token: string; readonly expiresAt: Date }>
  /** The public key as a JWK set, for those who verify. Throws for a secret, which has none. */
  readonly jwks: () => JsonWebKeySet
}

const registered: ReadonlySet<string> = new Set(['iss', 'sub', 'aud', 'exp', 'nbf', 'iat', 'jti'])
const ownParameters: ReadonlySet<string> = new Set(['alg', 'typ', 'kid', 'crit', 'b64'])
// Ten years: whatever is meant to be valid longer is meant to be valid for ever, which no token should.
const longestSeconds = 315_360_000
const defaultSeconds = 300

/** Makes an issuer; the key is loaded and checked once. Throws a `ConfigurationError` for what cannot work. */
export function createIssuer(settings: IssuerSettings): Issuer {
  checkOptions<IssuerSettings>('An issuer of tokens', settings, {
    issuer: true,
    key: true,
    typ: true,
    header: true,
    clock: true,
    ...contentOptions,
  })
  const { issuer, key, typ, header, clock = systemClock, ...usual } = settings
  requireText('issuer', issuer)
  const signing = createSigner({ key, ...(typ !== undefined && { typ }), ...(header !== undefined && { header }) })
  claimsOf(issuer, usual, 0)
  const issueWithExpiry = async (content: TokenContent = {}): Promise<{ readonly token: string; readonly expiresAt: Date }> => {
    checkOptions<TokenContent>('issue', content, contentOptions)
    const claims = claimsOf(issuer, { ...usual, ...content }, clock.now())
    return { token: await signing.sign(claims), expiresAt: new Date(claims.exp * 1000) }
  }
  return Object.freeze({
    issueWithExpiry,
    issue: async (content?: TokenContent) => (await issueWithExpiry(content)).token,
    jwks: signing.jwks,
  })
}

/** Issues one token; for many make an issuer once. */
export async function issue(options: IssuerSettings): Promise<string> {
  return createIssuer(options).issue()
}

const contentOptions = { subject: true, audience: true, jwtId: true, expiresInSeconds: true, claims: true } as const

function claimsOf(issuer: string, content: TokenContent, nowMs: number): Readonly<Record<string, unknown>> & { readonly exp: number } {
  // A token for nobody in particular is one for everybody (RFC 8725 section 3.9).
  requireGiven(content, ['subject', 'audience'])
  const { subject, audience, jwtId = randomUUID(), expiresInSeconds = defaultSeconds, claims = {} } = content
  requireNumber('expiresInSeconds', expiresInSeconds, { min: 1, max: longestSeconds })
  for (const name of Object.keys(claims)) {
    if (registered.has(name)) throw new ConfigurationError('ERR_OPTION_INVALID', `The claim "${name}" has an option of its own.`)
  }
  const now = Math.floor(nowMs / 1000)
  return {
    iss: issuer,
    ...(subject !== undefined && { sub: requireText('subject', subject) }),
    ...(audience !== undefined && {
      aud: typeof audience === 'string' ? requireText('audience', audience) : requireTexts('audience', audience),
    }),
    exp: now + Math.floor(expiresInSeconds),
    nbf: now,
    iat: now,
    jti: requireText('jwtId', jwtId),
    ...claims,
  }
}

/** The options of {@link createSigner}. */
export interface SignerOptions {
  readonly key: SigningKey
  /** Default: `JWT`. */
  readonly typ?: string
  readonly header?: ExtraHeader
}

/** Signs claims as they are. Made by {@link createSigner}. */
export interface JwtSigner {
  readonly algorithm: Algorithm
  /** The whole token. Nothing is added to the claims: whether they expire, and for whom they are, is the caller's business. */
  sign(claims: Readonly<Record<string, unknown>>): Promise<string>
  readonly jwks: () => JsonWebKeySet
}

/** Makes a signer of claims that are not an issuer's statement about a subject: proofs, envelopes, events. For tokens use {@link createIssuer}. */
export function createSigner(options: SignerOptions): JwtSigner {
  checkOptions<SignerOptions>('A signer', options, { key: true, typ: true, header: true })
  const { typ = 'JWT', header = {} } = options
  requireText('typ', typ)
  for (const name of Object.keys(header)) {
    if (ownParameters.has(name)) throw new ConfigurationError('ERR_OPTION_INVALID', `The header parameter "${name}" is not set by hand.`)
  }
  const { maker, keyId, key } = signingKey(options.key)
  const headerText = encode({ alg: maker.algorithm, typ, ...(keyId !== undefined && { kid: keyId }), ...header })
  return Object.freeze({
    algorithm: maker.algorithm,
    async sign(claims: Readonly<Record<string, unknown>>) {
      const text = `${headerText}.${encode(claims)}`
      const token = `${text}.${(await maker.sign(Buffer.from(text, 'latin1'))).toString('base64url')}`
      if (token.length > maxTokenLength) {
        throw new ConfigurationError<JwtErrorCode>(
          'ERR_JWT_TOO_LARGE',
          `The token would have ${token.length} characters, and nobody here takes more than ${maxTokenLength}.`,
        )
      }
      return token
    },
    jwks: () => ({ keys: [publicOf(key, keyId, maker.algorithm)] }),
  })
}

function signingKey(options: SigningKey): { readonly maker: SignatureMaker; readonly keyId: string | undefined; readonly key: KeyObject } {
  checkOptions('key', options, { privateKey: true, secret: true, keyId: true, algorithm: true })
  const { privateKey, secret } = options
  if ((privateKey === undefined) === (secret === undefined))
    throw new ConfigurationError('ERR_OPTION_MISSING', 'key takes one of privateKey and secret.')
  const key = privateKey === undefined ? secretKey(secret) : parsePrivateKey(privateKey, { alsoCurves: ['secp256k1'] })
  const [algorithm] = options.algorithm === undefined ? defaultAlgorithms(key) : requireAlgorithms('key.algorithm', [options.algorithm])
  if (algorithm === undefined) throw new ConfigurationError<JwtErrorCode>('ERR_JWT_KEY_UNUSABLE', 'No algorithm here goes with this key.')
  const keyId = options.keyId === undefined ? undefined : requireText('key.keyId', options.keyId)
  return { maker: signatureMaker(algorithm, key), keyId, key }
}

function publicOf(key: KeyObject, keyId: string | undefined, algorithm: Algorithm): JsonWebKey {
  if (key.type === 'secret') throw new ConfigurationError<JwtErrorCode>('ERR_JWT_KEY_UNUSABLE', 'A secret is not published.')
  return { ...publicJwk(createPublicKey(key)), ...(keyId !== undefined && { kid: keyId }), alg: algorithm, use: 'sig' }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value), 'utf8').toString('base64url')
}
