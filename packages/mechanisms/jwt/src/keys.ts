import { X509Certificate, type KeyObject } from 'node:crypto'
import { checkOptions, ConfigurationError, isSecret, requireText, Revocation, type Secret } from '@portcullis/core'
import {
  jwkThumbprint,
  parseCertificate,
  parsePublicKey,
  parseSecretKey,
  type Certificate,
  type InlinePublicKeySource,
  type JwkSource,
} from '@portcullis/crypto'
import { defaultAlgorithms, isAlgorithm, signatureCheck, type Algorithm, type SignatureCheck } from './algorithms.ts'
import { refuse, type JwtErrorCode, type JwtRefused } from './errors.ts'

/** A public key that verifies, at hand already; from a file, `await loadPublicKey(…)` of `@portcullis/crypto` first. */
export interface PublicKeyOptions {
  /** Of a certificate the dates are looked at with each token (`ERR_JWT_KEY_OUT_OF_DATE`); its issuer and usages are not. */
  readonly publicKey: InlinePublicKeySource
  /** The `kid` of the tokens that it verifies. Without one, it stands for every `kid` that no other key of the set has. */
  readonly keyId?: string
  /** What it is used for, and nothing else. Default: the one algorithm of its curve or type, RS256 for RSA. */
  readonly algorithms?: readonly [Algorithm, ...Algorithm[]]
}

/** A secret shared with the issuer. Whoever verifies by it can issue too. */
export interface SecretOptions {
  /** At least as long as the hash of its algorithm (RFC 7518 section 3.2); text counts as UTF-8. */
  readonly secret: Secret | Uint8Array | KeyObject
  readonly keyId?: string
  /** Default: HS256. */
  readonly algorithms?: readonly [Algorithm, ...Algorithm[]]
}

export type JsonWebKey = JwkSource['jwk']

/** A JWK set (RFC 7517 section 5). */
export interface JsonWebKeySet {
  readonly keys: readonly JsonWebKey[]
}

/** A JWK set at hand: each key must be usable. A key with `alg` is used for that alone, others as {@link PublicKeyOptions} says. */
export interface LocalSetOptions {
  readonly jwks: JsonWebKeySet
}

/** Keys at hand. */
export type LocalKeys = PublicKeyOptions | SecretOptions | LocalSetOptions

/**
 * Where an issuer's keys are looked up: by the identifier and the algorithm that a token names, in what was configured
 * and nowhere else. Made by {@link keySet} and `remoteKeySet`.
 */
export interface KeySet {
  /** The key for this `kid` and algorithm. Throws `ERR_JWT_KEYS_UNAVAILABLE` where nobody can tell. */
  find(keyId: string | undefined, algorithm: Algorithm): VerificationKey | JwtRefused | Promise<VerificationKey | JwtRefused>
}

/** Keys at hand that can be exchanged while tokens are verified. */
export interface LocalKeySet extends KeySet {
  /**
   * Exchanges all keys at once. Those that are the same stay; of the others every token is refused from here on, also
   * those that were verified before, and sessions that rest on them end. Throws and changes nothing if one is unusable.
   */
  replace(keys: LocalKeys | readonly [LocalKeys, ...LocalKeys[]]): void
}

// RFC 5280 section 4.1.2.5: the dates of a certificate are inclusive, and count seconds.
const lastSecondMs = 1_000

/** How fresh a set of keys is. Looked at with each use of a key, remembered verdicts included. */
export interface KeySource {
  /** From here on its keys must not be used before it was read again. */
  readonly usableUntilMs: number
  /** From here on whoever uses a key says so by {@link refresh}. */
  readonly refreshAtMs: number
  refresh(): void
}

/** A key with the algorithms that it is bound to. */
export class VerificationKey {
  readonly keyId: string | undefined
  readonly checks: ReadonlyMap<Algorithm, SignatureCheck>
  /** Revoked when the key leaves its set: everything that was verified with it ends. */
  readonly revocation = new Revocation()
  readonly notBeforeMs: number
  readonly notAfterMs: number
  /** Says same key, same use. */
  readonly identity: string
  /** The set that it came from. */
  readonly source: KeySource

  constructor(init: {
    readonly key: KeyObject
    readonly keyId: string | undefined
    readonly algorithms: readonly Algorithm[]
    readonly certificate?: Certificate
    readonly source?: KeySource
  }) {
    this.keyId = init.keyId
    this.checks = new Map(init.algorithms.map((name) => [name, signatureCheck(name, init.key)]))
    this.notBeforeMs = init.certificate?.notBefore.getTime() ?? Number.NEGATIVE_INFINITY
    this.notAfterMs = init.certificate === undefined ? Number.POSITIVE_INFINITY : init.certificate.notAfter.getTime() + lastSecondMs
    this.identity = JSON.stringify([init.keyId, init.algorithms, this.notBeforeMs, this.notAfterMs, thumbprint(init.key)])
    this.source = init.source ?? atHand
  }

  /** Whether what it verified still counts: it is in its set, and the set is fresh enough. */
  isCurrent(nowMs: number): boolean {
    if (nowMs >= this.source.refreshAtMs) this.source.refresh()
    return !this.revocation.revoked && nowMs < this.source.usableUntilMs
  }

  /** Whether it came in a certificate, which has dates. */
  get isDated(): boolean {
    return this.notAfterMs !== Number.POSITIVE_INFINITY
  }

  /** Whether the certificate that held it, if one did, is in its time. */
  isInDate(nowMs: number): boolean {
    return nowMs >= this.notBeforeMs && nowMs < this.notAfterMs
  }
}

const atHand: KeySource = Object.freeze({
  usableUntilMs: Number.POSITIVE_INFINITY,
  refreshAtMs: Number.POSITIVE_INFINITY,
  refresh: () => undefined,
})

/** An index of keys: lookups take one step, however many there are. */
export class KeyIndex {
  readonly all: readonly VerificationKey[]
  readonly #named = new Map<string, VerificationKey[]>()
  readonly #unnamed = new Map<Algorithm, VerificationKey[]>()
  readonly #byAlgorithm = new Map<Algorithm, VerificationKey[]>()

  constructor(keys: readonly VerificationKey[]) {
    this.all = keys
    for (const key of keys) {
      if (key.keyId !== undefined) append(this.#named, key.keyId, key)
      for (const algorithm of key.checks.keys()) {
        append(this.#byAlgorithm, algorithm, key)
        if (key.keyId === undefined) append(this.#unnamed, algorithm, key)
      }
    }
    for (const [keyId, same] of this.#named) {
      const names = same.flatMap((key) => [...key.checks.keys()])
      if (new Set(names).size < names.length)
        throw new ConfigurationError<JwtErrorCode>('ERR_JWT_KEY_DUPLICATE', `Two keys have the identifier "${keyId}" and one algorithm.`)
    }
  }

  find(keyId: string | undefined, algorithm: Algorithm): VerificationKey | JwtRefused {
    if (keyId === undefined) return only(this.#byAlgorithm.get(algorithm)) ?? refuse('ERR_JWT_ALGORITHM_NOT_ALLOWED', 'alg without kid')
    const named = this.#named.get(keyId)
    if (named === undefined) return only(this.#unnamed.get(algorithm)) ?? refuse('ERR_JWT_KEY_UNKNOWN', 'kid')
    for (const key of named) if (key.checks.has(algorithm)) return key
    return refuse('ERR_JWT_ALGORITHM_NOT_ALLOWED', 'alg')
  }
}

function only(keys: readonly VerificationKey[] | undefined): VerificationKey | JwtRefused | undefined {
  return keys === undefined || keys.length === 1 ? keys?.[0] : refuse('ERR_JWT_KEY_AMBIGUOUS', 'kid')
}

function append<K>(map: Map<K, VerificationKey[]>, name: K, key: VerificationKey): void {
  const keys = map.get(name)
  if (keys === undefined) map.set(name, [key])
  else keys.push(key)
}

/**
 * The new keys, with those that stay replaced by their old selves, whose verdicts then stay too.
 * {@link retire} the rest once the new ones are in use.
 */
function keepSame(old: readonly VerificationKey[], fresh: readonly VerificationKey[]): readonly VerificationKey[] {
  const known = new Map(old.map((key) => [key.identity, key]))
  return fresh.map((key) => known.get(key.identity) ?? key)
}

/** Ends what was verified with keys that are no longer there. */
export function retire(old: readonly VerificationKey[], kept: readonly VerificationKey[]): void {
  const still = new Set(kept)
  for (const key of old) if (!still.has(key)) key.revocation.revoke('The issuer no longer has the key.')
}

/** Makes a set of keys at hand that can be exchanged later; to configure keys that never change, pass them as `keys` directly. */
export function keySet(keys: LocalKeys | readonly [LocalKeys, ...LocalKeys[]]): LocalKeySet {
  let index = new KeyIndex(localKeys(keys))
  return Object.freeze({
    find: (keyId: string | undefined, algorithm: Algorithm) => index.find(keyId, algorithm),
    replace(next: LocalKeys | readonly [LocalKeys, ...LocalKeys[]]): void {
      const old = index.all
      index = new KeyIndex(keepSame(old, localKeys(next)))
      retire(old, index.all)
    },
  })
}

function localKeys(keys: LocalKeys | readonly LocalKeys[]): readonly VerificationKey[] {
  const list = Array.isArray(keys) ? (keys as readonly LocalKeys[]) : [keys as LocalKeys]
  if (list.length === 0) throw new ConfigurationError('ERR_OPTION_INVALID', 'keys must not be an empty list.')
  return list.flatMap(localKey)
}

function localKey(options: LocalKeys): readonly VerificationKey[] {
  if (typeof options === 'object' && options !== null && 'jwks' in options) {
    checkOptions('keys', options, { jwks: true })
    const keys: unknown = options.jwks?.keys
    if (!Array.isArray(keys) || keys.length === 0)
      throw new ConfigurationError('ERR_OPTION_INVALID', 'keys.jwks must have a list of keys that is not empty.')
    return (keys as readonly JsonWebKey[]).map((jwk) => new VerificationKey(ofJwk(jwk)))
  }
  if (typeof options === 'object' && options !== null && 'secret' in options) {
    checkOptions('keys', options, { secret: true, keyId: true, algorithms: true })
    return [bound(secretKey(options.secret), options)]
  }
  checkOptions('keys', options, { publicKey: true, keyId: true, algorithms: true })
  const { publicKey } = options
  if (publicKey === undefined) throw new ConfigurationError('ERR_OPTION_MISSING', 'keys needs one of publicKey, secret, jwks and jwksUri.')
  const key = parsePublicKey(publicKey, { alsoCurves: ['secp256k1'] })
  return [bound(key, options, certificateIn(publicKey))]
}

/** The certificate that a public key came in, if it did: its dates bound the use of the key. */
function certificateIn(source: InlinePublicKeySource): Certificate | undefined {
  const text = source instanceof X509Certificate ? source : 'pem' in source ? source.pem : 'der' in source ? source.der : undefined
  try {
    return text === undefined ? undefined : parseCertificate(text)
  } catch {
    // It is a bare key, since it was loaded as one already.
    return undefined
  }
}

/** Loads a secret for HMAC, from which a text that is a key of another kind is kept away (algorithm confusion). */
export function secretKey(secret: Secret | Uint8Array | KeyObject): KeyObject {
  // What a missing environment variable comes to.
  if (secret === undefined) throw new ConfigurationError('ERR_OPTION_MISSING', 'The secret is undefined.')
  if (typeof secret === 'string')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'A secret is wrapped by secret(…) of @portcullis/core, so that it is never printed.')
  const text = isSecret(secret) ? secret.reveal() : secret instanceof Uint8Array ? Buffer.from(secret).toString('latin1') : ''
  if (text.includes('-----BEGIN '))
    throw new ConfigurationError<JwtErrorCode>(
      'ERR_JWT_KEY_UNUSABLE',
      'The secret is a PEM text, which is a key or certificate and no secret.',
    )
  return isSecret(secret) || secret instanceof Uint8Array ? parseSecretKey({ secret }) : parseSecretKey(secret)
}

function bound(key: KeyObject, options: PublicKeyOptions | SecretOptions, certificate?: Certificate): VerificationKey {
  const algorithms = options.algorithms === undefined ? defaultAlgorithms(key) : requireAlgorithms('keys.algorithms', options.algorithms)
  if (algorithms.length === 0) throw new ConfigurationError<JwtErrorCode>('ERR_JWT_KEY_UNUSABLE', 'No algorithm here goes with this key.')
  const keyId = options.keyId === undefined ? undefined : requireText('keys.keyId', options.keyId)
  return new VerificationKey({ key, keyId, algorithms, ...(certificate && { certificate }) })
}

/** What a JWK says about its key: throws if it is unusable here, for whatever reason. */
export function ofJwk(jwk: JsonWebKey): {
  readonly key: KeyObject
  readonly keyId: string | undefined
  readonly algorithms: readonly Algorithm[]
} {
  const { kid, use, key_ops: operations, alg } = jwk as Readonly<Record<string, unknown>>
  if (use !== undefined && use !== 'sig') throw unusable('its use is not "sig"')
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify')))
    throw unusable('its key_ops do not include "verify"')
  if (kid !== undefined && (typeof kid !== 'string' || kid === '')) throw unusable('its kid is no text, or empty')
  const key = jwk.kty === 'oct' ? parseSecretKey({ jwk }) : parsePublicKey({ jwk }, { alsoCurves: ['secp256k1'] })
  if (alg !== undefined && !isAlgorithm(alg)) throw unusable('its alg is not known')
  const algorithms = alg === undefined ? defaultAlgorithms(key) : [alg]
  if (algorithms.length === 0) throw unusable('no algorithm here goes with it')
  return { key, keyId: kid, algorithms }
}

/** Refuses anything but a list of algorithm names that is not empty; returns it. */
export function requireAlgorithms(where: string, names: readonly Algorithm[]): readonly Algorithm[] {
  if (!Array.isArray(names) || names.length === 0)
    throw new ConfigurationError('ERR_OPTION_INVALID', `${where} must be a list that is not empty.`)
  for (const name of names as readonly unknown[]) {
    if (!isAlgorithm(name))
      throw new ConfigurationError<JwtErrorCode>(
        'ERR_JWT_ALGORITHM_UNKNOWN',
        `${where}: "${String(name)}" is no algorithm that signs tokens.`,
      )
  }
  return Object.freeze([...names])
}

function unusable(why: string): ConfigurationError<JwtErrorCode> {
  return new ConfigurationError('ERR_JWT_KEY_UNUSABLE', `A JWK cannot be used: ${why}.`)
}

function thumbprint(key: KeyObject): string {
  // Keys made for RSA-PSS have no form as JWK.
  return key.asymmetricKeyType === 'rsa-pss' ? key.export({ type: 'spki', format: 'der' }).toString('base64url') : jwkThumbprint(key)
}
