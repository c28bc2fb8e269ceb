import { createPublicKey, generateKeyPair, type JsonWebKey, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { checkOptions, ConfigurationError, requireText } from '@portcullis/core'
import { jwkThumbprint, parsePrivateKey, publicJwk, type InlinePrivateKeySource } from '@portcullis/crypto'
import { createSigner, type Algorithm, type JsonWebKeySet } from '@portcullis/jwt'
import type { StsErrorCode } from './errors.ts'

/** A key that signs tokens. */
export interface StsKey {
  /** A private key at hand; from a file, `await loadPrivateKey(…)` of `@portcullis/crypto` first. */
  readonly privateKey: InlinePrivateKeySource
  /** Default: the first algorithm of its curve or type, RS256 for RSA. */
  readonly algorithm?: Algorithm
  /** `kid`. Default: the thumbprint of the public key (RFC 7638). */
  readonly keyId?: string
}

/** A {@link StsKey}, checked. */
export interface RingKey {
  readonly algorithm: Algorithm
  readonly keyId: string
  readonly key: KeyObject
}

const generate = promisify(generateKeyPair)

/** Makes a key for each kind that services verify with: ES256, which signs unless an audience says otherwise, and RS256. */
export async function generateKeys(): Promise<readonly RingKey[]> {
  const [ec, rsa] = await Promise.all([generate('ec', { namedCurve: 'P-256' }), generate('rsa', { modulusLength: 2048 })])
  return ringOf([{ privateKey: ec.privateKey }, { privateKey: rsa.privateKey }])
}

/** Checks keys. The first of each algorithm signs; all are published. */
export function ringOf(keys: readonly StsKey[]): readonly RingKey[] {
  if (!Array.isArray(keys) || keys.length === 0) throw unusable('The keys of a token service are a list that is not empty.')
  const ring = keys.map(ringKey)
  if (new Set(ring.map(({ keyId }) => keyId)).size < ring.length) throw unusable('Two keys of the token service have one identifier.')
  return ring
}

function ringKey(options: StsKey): RingKey {
  checkOptions<StsKey>('A key of the token service', options, { privateKey: true, algorithm: true, keyId: true })
  if (options.privateKey === undefined) throw new ConfigurationError('ERR_OPTION_MISSING', 'A key of the token service needs privateKey.')
  const key = parsePrivateKey(options.privateKey)
  const keyId = options.keyId === undefined ? jwkThumbprint(createPublicKey(key)) : requireText('keyId', options.keyId)
  const { algorithm } = createSigner({ key: { privateKey: key, ...(options.algorithm && { algorithm: options.algorithm }) } })
  return { key, keyId, algorithm }
}

/** A key that signs no more, and verifies what it has signed until the last of it has expired. */
export interface RetiredKey extends RingKey {
  readonly untilMs: number
}

/** All keys of a token service. */
export interface KeyRing {
  readonly signing: readonly RingKey[]
  readonly retired: readonly RetiredKey[]
}

/** The ring with new keys; those that are not among them retire, and those whose time is over leave. */
export function rotated({ signing, retired }: KeyRing, next: readonly RingKey[], untilMs: number): KeyRing {
  const names = new Set(next.map(({ keyId }) => keyId))
  const leaving = signing.map((key) => ({ ...key, untilMs }))
  const stillNeeded = [...leaving, ...retired].filter((key) => !names.has(key.keyId) && key.untilMs > Date.now())
  return { signing: next, retired: stillNeeded }
}

/** The keys as the library below takes them. */
export function privateSet({ signing, retired }: KeyRing): { keys: JsonWebKey[] } {
  return { keys: [...signing, ...retired].map(privateJwk) }
}

/** The keys as verifiers take them. */
export function publicSet({ signing, retired }: KeyRing): JsonWebKeySet {
  return {
    keys: [...signing, ...retired].map(({ key, keyId, algorithm }) => ({
      ...publicJwk(createPublicKey(key)),
      kid: keyId,
      alg: algorithm,
      use: 'sig',
    })),
  }
}

/** The key that signs with an algorithm, or the first of all. */
export function signingKey(signing: readonly RingKey[], algorithm: Algorithm | undefined): RingKey {
  const key = algorithm === undefined ? signing[0] : signing.find((one) => one.algorithm === algorithm)
  if (key === undefined) throw unusable(`There is no key for ${String(algorithm)}.`)
  return key
}

/** For a state that keeps what was generated. */
export function writeRing({ signing, retired }: KeyRing): string {
  return JSON.stringify({
    signing: signing.map(privateJwk),
    retired: retired.map((key) => ({ jwk: privateJwk(key), untilMs: key.untilMs })),
  })
}

/** The reverse of {@link writeRing}. */
export function readRing(text: string): KeyRing {
  const { signing, retired } = JSON.parse(text) as {
    readonly signing: readonly NamedJwk[]
    readonly retired: readonly { readonly jwk: NamedJwk; readonly untilMs: number }[]
  }
  return {
    signing: ringOf(signing.map(fromJwk)),
    retired: retired.map(({ jwk, untilMs }) => ({ ...ringKey(fromJwk(jwk)), untilMs })),
  }
}

type NamedJwk = JsonWebKey & { readonly kid: string; readonly alg: Algorithm }

function privateJwk({ key, keyId, algorithm }: RingKey): NamedJwk & { readonly use: 'sig' } {
  return { ...key.export({ format: 'jwk' }), kid: keyId, alg: algorithm, use: 'sig' }
}

function fromJwk({ kid, alg, use: _use, ...jwk }: NamedJwk): StsKey {
  return { privateKey: { jwk }, keyId: kid, algorithm: alg }
}

function unusable(message: string): ConfigurationError<StsErrorCode> {
  return new ConfigurationError('ERR_STS_KEY_UNUSABLE', message)
}
