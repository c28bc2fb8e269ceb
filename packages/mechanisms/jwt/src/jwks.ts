import {
  checkOptions,
  ConfigurationError,
  isSecurityError,
  requireFunction,
  requireNumber,
  systemClock,
  UnavailableError,
  type Clock,
} from '@portcullis/core'
import { signatureAlgorithmsOf } from '@portcullis/crypto'
import type { Algorithm } from './algorithms.ts'
import { isRefused, type JwtErrorCode, type JwtRefused } from './errors.ts'
import { fetchDocument, requireHttps, type Fetch } from './fetch-document.ts'
import { KeyIndex, ofJwk, requireAlgorithms, retire, VerificationKey, type JsonWebKey, type KeySet, type KeySource } from './keys.ts'
import { parseObject } from './strict-json.ts'

/** Where an issuer publishes its keys, and how they are kept. */
export interface RemoteKeysOptions {
  /** The URL of the JWK set, HTTPS. Not fetched before the first token comes, so that a service starts without it. */
  readonly jwksUri: string | URL
  /**
   * Narrows what is taken out of the set: keys for other algorithms are ignored, and keys without `alg` are used for
   * those of these that fit. Default: each key for its `alg`, or the one of its curve or type (RS256 for RSA).
   */
  readonly algorithms?: readonly [Algorithm, ...Algorithm[]]
  /** How to fetch, for example a client of `@portcullis/http` with a trust anchor of its own. Default: the global `fetch`. */
  readonly fetch?: Fetch
  /** How long one fetch may take, redirects included. Default: 5,000. */
  readonly timeoutMs?: number
  /** The age at which the set is read again in the background, when it is next used. Default: 600,000, ten minutes. */
  readonly refreshAfterMs?: number
  /** The age up to which the last set that could be read is used while it cannot be read again. Default: 86,400,000, one day; then every token is `unavailable`. */
  readonly maxStaleMs?: number
  /** Hears of each fetch that failed, also where the last good set still serves. */
  readonly onFailure?: (error: unknown) => void
}

/** The keys of an issuer that publishes them. Made by {@link remoteKeySet}. */
export interface RemoteKeySet extends KeySet {
  /** Reads the set now, however old it is, for example after an issuer announced a leak. Rejects with `ERR_JWT_KEYS_UNAVAILABLE`. */
  refresh(): Promise<void>
}

// One fetch a second, for whatever reason: a thousand unknown key identifiers cost the issuer one, and a key that
// appears there is accepted within a second of its first use.
const minIntervalMs = 1_000
// While the last good set serves, a source that fails is asked again at this pace.
const refreshRetryMs = 30_000
// A set of a thousand RSA keys has half of it.
const maxSetBytes = 1_048_576
const maxSetKeys = 1_000
// Tokens with keys that are not known, while the set is read; those with known keys do not wait.
const maxWaiting = 4_096
const oneDayMs = 86_400_000

/**
 * Makes a set of keys that is read from its issuer, to be shared by several verifiers; for one, pass the options as
 * `keys` directly.
 *
 * A token with a known key never waits. One with an unknown key waits for at most one fetch, which all share: it is
 * refused with `ERR_JWT_KEY_UNKNOWN` if the set was read within the last second and does not have it, and is
 * `ERR_JWT_KEYS_UNAVAILABLE` if it could not be read. When a key leaves the set, what was verified with it ends.
 */
export function remoteKeySet(options: RemoteKeysOptions & { readonly clock?: Clock }): RemoteKeySet {
  const set = new RemoteKeys(options)
  return Object.freeze({ find: (keyId: string | undefined, algorithm: Algorithm) => set.find(keyId, algorithm), refresh: () => set.read() })
}

class RemoteKeys implements KeySource {
  usableUntilMs = Number.NEGATIVE_INFINITY
  refreshAtMs = Number.POSITIVE_INFINITY
  readonly #url: URL
  readonly #algorithms: readonly Algorithm[] | undefined
  readonly #fetch: Fetch
  readonly #timeoutMs: number
  readonly #refreshAfterMs: number
  readonly #maxStaleMs: number
  readonly #onFailure: ((error: unknown) => void) | undefined
  readonly #clock: Clock
  // By the text of the JWK: what did not change is not imported again, and keeps its verdicts.
  #keys: ReadonlyMap<string, VerificationKey> = new Map()
  #index = new KeyIndex([])
  #flight: Promise<void> | undefined
  #waiting = 0
  #attempt: { readonly atMs: number; readonly failure: UnavailableError<JwtErrorCode> | undefined } | undefined

  constructor(options: RemoteKeysOptions & { readonly clock?: Clock }) {
    checkOptions<RemoteKeysOptions & { readonly clock?: Clock }>('Remote keys', options, {
      jwksUri: true,
      algorithms: true,
      fetch: true,
      timeoutMs: true,
      refreshAfterMs: true,
      maxStaleMs: true,
      onFailure: true,
      clock: true,
    })
    const {
      fetch: fetchIt = globalThis.fetch,
      timeoutMs = 5_000,
      refreshAfterMs = 600_000,
      maxStaleMs = oneDayMs,
      onFailure,
      clock = systemClock,
    } = options
    this.#url = requireHttps('jwksUri', options.jwksUri)
    this.#algorithms = options.algorithms === undefined ? undefined : requireAlgorithms('algorithms', options.algorithms)
    this.#fetch = requireFunction('fetch', fetchIt)
    this.#timeoutMs = requireNumber('timeoutMs', timeoutMs, { min: 1, max: 60_000 })
    this.#refreshAfterMs = requireNumber('refreshAfterMs', refreshAfterMs, { min: minIntervalMs, max: oneDayMs })
    this.#maxStaleMs = requireNumber('maxStaleMs', maxStaleMs, { min: minIntervalMs, max: 30 * oneDayMs })
    this.#onFailure = onFailure === undefined ? undefined : requireFunction('onFailure', onFailure)
    this.#clock = clock
    if (this.#algorithms?.some((name) => name.startsWith('HS')) === true) {
      throw new ConfigurationError<JwtErrorCode>(
        'ERR_JWT_KEY_UNUSABLE',
        'A published set has no secrets: HS256, HS384 and HS512 are not for remote keys.',
      )
    }
  }

  find(keyId: string | undefined, algorithm: Algorithm): VerificationKey | JwtRefused | Promise<VerificationKey | JwtRefused> {
    const now = this.#clock.now()
    if (now < this.usableUntilMs) {
      const key = this.#index.find(keyId, algorithm)
      if (!isMissing(key)) {
        if (now >= this.refreshAtMs) this.refresh()
        return key
      }
      if (this.#flight === undefined && this.#justTried(now)) {
        if (this.#attempt?.failure !== undefined) throw this.#attempt.failure
        return key
      }
    } else if (this.#flight === undefined && this.#justTried(now) && this.#attempt?.failure !== undefined) {
      throw this.#attempt.failure
    }
    return this.#readAndFind(keyId, algorithm)
  }

  async #readAndFind(keyId: string | undefined, algorithm: Algorithm): Promise<VerificationKey | JwtRefused> {
    if (this.#waiting >= maxWaiting) {
      throw new UnavailableError<JwtErrorCode>('ERR_JWT_OVERLOADED', {
        message: `${maxWaiting} tokens wait for the keys at ${this.#url.href}.`,
        reason: 'overload',
        retryAfterMs: minIntervalMs,
      })
    }
    this.#waiting++
    try {
      await this.read()
      return this.#index.find(keyId, algorithm)
    } finally {
      this.#waiting--
    }
  }

  /** Reads the set in the background; the next time at which it is tried is set first, so that it is not tried with every token. */
  refresh(): void {
    this.refreshAtMs = this.#clock.now() + refreshRetryMs
    this.read().catch(() => undefined)
  }

  /** Reads the set; all who ask meanwhile share one fetch. */
  read(): Promise<void> {
    this.#flight ??= this.#read().finally(() => {
      this.#flight = undefined
    })
    return this.#flight
  }

  async #read(): Promise<void> {
    const atMs = this.#clock.now()
    try {
      const text = await fetchDocument(this.#fetch, this.#url, { timeoutMs: this.#timeoutMs, maxBytes: maxSetBytes })
      this.#exchange(keysIn(text))
      this.usableUntilMs = atMs + this.#maxStaleMs
      this.refreshAtMs = atMs + this.#refreshAfterMs
      this.#attempt = { atMs, failure: undefined }
    } catch (cause) {
      const failure = new UnavailableError<JwtErrorCode>('ERR_JWT_KEYS_UNAVAILABLE', {
        message: `The keys at ${this.#url.href} could not be read.`,
        cause,
        retryAfterMs: minIntervalMs,
      })
      this.#attempt = { atMs, failure }
      this.#tell(cause)
      throw failure
    }
  }

  #exchange(jwks: readonly unknown[]): void {
    const keys = new Map<string, VerificationKey>()
    for (const jwk of jwks) {
      const text = JSON.stringify(jwk)
      const key = keys.get(text) ?? this.#keys.get(text) ?? this.#keyOf(jwk)
      if (key !== undefined) keys.set(text, key)
    }
    if (keys.size === 0) throw invalidSet('no key of the set can be used')
    const old = this.#index.all
    this.#index = new KeyIndex([...keys.values()])
    this.#keys = keys
    retire(old, this.#index.all)
  }

  /** A key of the set, or `undefined` for one that is not for us: RFC 7517 section 5 asks to ignore those. */
  #keyOf(jwk: unknown): VerificationKey | undefined {
    if (typeof jwk !== 'object' || jwk === null || (jwk as JsonWebKey).kty === 'oct') return undefined
    try {
      const { key, keyId, algorithms } = ofJwk(jwk as JsonWebKey)
      const says = (jwk as { readonly alg?: unknown }).alg !== undefined
      const usable =
        this.#algorithms === undefined
          ? algorithms
          : (says ? algorithms : signatureAlgorithmsOf(key)).filter((name) => this.#algorithms?.includes(name))
      return usable.length === 0 ? undefined : new VerificationKey({ key, keyId, algorithms: usable, source: this })
    } catch (error) {
      if (isSecurityError(error)) return undefined
      throw error
    }
  }

  #justTried(now: number): boolean {
    if (this.#attempt === undefined) return false
    const passed = now - this.#attempt.atMs
    // A clock that was set back must not stop the fetching.
    return passed >= 0 && passed < minIntervalMs
  }

  #tell(error: unknown): void {
    try {
      this.#onFailure?.(error)
    } catch {
      // Who listens cannot change what happened.
    }
  }
}

function isMissing(key: VerificationKey | JwtRefused): boolean {
  return isRefused(key) && (key.refused === 'ERR_JWT_KEY_UNKNOWN' || key.cause === 'alg without kid')
}

function keysIn(text: string): readonly unknown[] {
  const set = parseObject(text)
  if (typeof set === 'string') throw invalidSet(set)
  const { keys } = set
  if (!Array.isArray(keys)) throw invalidSet('it has no list of keys')
  if (keys.length > maxSetKeys) throw invalidSet(`it has more than ${maxSetKeys} keys`)
  return keys
}

function invalidSet(why: string): UnavailableError<JwtErrorCode> {
  return new UnavailableError('ERR_JWT_KEY_SET_INVALID', { message: `The key set cannot be used: ${why}.` })
}
