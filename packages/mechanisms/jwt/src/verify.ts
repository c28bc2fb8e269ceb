import {
  checkOptions,
  ConfigurationError,
  isSecurityError,
  requireNumber,
  systemClock,
  UnavailableError,
  type Clock,
  type Revocation,
} from '@portcullis/core'
import { fromBase64url } from '@portcullis/crypto'
import type { Algorithm, SignatureCheck } from './algorithms.ts'
import {
  acceptedFromMs,
  acceptedUntilMs,
  checkClaims,
  checkHeader,
  checkMatchers,
  issuerRow,
  requireGiven,
  type IssuerOptions,
  type IssuerRow,
  type JwtClaims,
} from './claims.ts'
import { dataScratch, decodeObject, maxTokenLength, signatureScratch } from './compact.ts'
import { requireDecryption, type Decryption, type DecryptionOptions } from './encryption.ts'
import { errorOf, isRefused, refuse, type JwtErrorCode, type JwtRefused } from './errors.ts'
import { HeaderMemo } from './header-memo.ts'
import { readHeader, type JwtHeader } from './header.ts'
import type { VerificationKey } from './keys.ts'
import { compileRevocations, type RevocationCheck, type Revocations } from './revocations.ts'
import { applySchema, requireSchema, type StandardSchema } from './schema.ts'
import { TokenCache, tokenDigest, type Acceptance } from './token-cache.ts'

/** What all issuers of one verifier share. */
export interface VerifierSettings<C extends JwtClaims = JwtClaims> {
  /** Checks the claims of a good token and gives them their type; what it leaves out is missing in `claims` and nowhere else. Any Standard Schema (zod, valibot, arktype, …). */
  readonly schema?: StandardSchema<C>
  /** Which tokens were revoked before their time: `denyList()`, a function that says `false` for a token that still counts, or {@link Revocations} of your own. */
  readonly revocations?: Revocations | ((claims: JwtClaims) => boolean | Promise<boolean>)
  /**
   * How many accepted tokens are remembered; a hit costs a digest instead of a signature. `none` for tokens that come
   * once, such as signed messages. Default: 10,000 for `jwt()`, about 20 MB when full; `none` for `createVerifier()`.
   */
  readonly tokenCache?: { readonly maxEntries: number } | 'none'
  /**
   * Where public-key signatures are verified. Default `threadPool`: off the event loop, so that other requests go on
   * meanwhile. `eventLoop` is faster for one token at a time, for commands and jobs that have nothing else to do.
   */
  readonly verifyOn?: 'threadPool' | 'eventLoop'
  /**
   * Opens encrypted tokens, in which a signed one must be: encryption to a public key says nothing about the sender.
   * Signed tokens are taken as well. Default: an encrypted token is not ours.
   */
  readonly decryption?: DecryptionOptions
  /** Default: the machine's clock. */
  readonly clock?: Clock
}

/** One issuer, or several as a table. A token is judged by the row of its `iss` and by no other. */
export type IssuersOptions =
  | (IssuerOptions & { readonly issuers?: never })
  | ({ readonly issuers: readonly [IssuerOptions, ...IssuerOptions[]] } & { readonly [K in keyof IssuerOptions]?: never })

/** The options of {@link createVerifier}. */
export type VerifierOptions<C extends JwtClaims = JwtClaims> = IssuersOptions & VerifierSettings<C>

/** A token that passed every check. */
export class VerifiedJwt<C extends JwtClaims = JwtClaims> {
  readonly header: JwtHeader
  readonly claims: C
  /** What ends it before its time: its key leaving the set, a deny list. */
  readonly revocations: readonly Revocation[]
  /** When it is no longer accepted, in milliseconds, the clock tolerance included; `Infinity` for one that never expires. */
  readonly acceptedUntilMs: number
  readonly #fromMs: number
  readonly #key: VerificationKey

  constructor(
    header: JwtHeader,
    claims: C,
    revocations: readonly Revocation[],
    time: { readonly fromMs: number; readonly untilMs: number },
    key: VerificationKey,
  ) {
    this.header = header
    this.claims = claims
    this.revocations = revocations
    this.acceptedUntilMs = time.untilMs
    this.#fromMs = time.fromMs
    this.#key = key
  }

  /**
   * Whether it would still be accepted: in its time, its key in a set that is fresh enough, nothing revoked that was
   * handed out with it. For who remembers what was verified. A `revocations` option without handles is not asked again.
   */
  stands(nowMs: number): boolean {
    return nowMs >= this.#fromMs && nowMs < this.acceptedUntilMs && this.#key.isCurrent(nowMs) && !isAnyRevoked(this.revocations)
  }

  get algorithm(): Algorithm {
    return this.header.alg
  }
}

/** Verifies tokens of the configured issuers. */
export interface Verifier<C extends JwtClaims = JwtClaims> {
  /**
   * Verifies a token: at once if it is remembered or needs no thread, otherwise by promise. A refusal is a value
   * (`'refused' in result`) with its code. Throws or rejects with `UnavailableError` where nobody can tell:
   * `ERR_JWT_KEYS_UNAVAILABLE`, `ERR_JWT_REVOCATION_UNAVAILABLE`, `ERR_JWT_OVERLOADED`.
   *
   * Not checked: whether the sender holds the key of a `cnf` claim. A caller that takes such tokens must, or must refuse
   * them; with a `schema` that takes one that keeps `cnf`.
   */
  verify(token: string): VerifiedJwt<C> | JwtRefused | Promise<VerifiedJwt<C> | JwtRefused>
}

/**
 * Makes a verifier to be used alone, for tokens that are no request's credential: assertions, signed messages, a
 * command. To secure a service use `jwt()`, which makes principals of what it verifies.
 */
export function createVerifier<C extends JwtClaims = JwtClaims>(options: VerifierOptions<C>): Verifier<C> {
  // What is remembered is given out again, so nobody may change it.
  const isShared = options.tokenCache !== undefined && options.tokenCache !== 'none'
  const judge = new TokenJudge<C, VerifiedJwt<C>>(options, 'none', isShared ? deepFreeze : (verified) => verified)
  const valueOf = (verdict: Acceptance<VerifiedJwt<C>> | JwtRefused): VerifiedJwt<C> | JwtRefused =>
    isRefused(verdict) ? verdict : verdict.value
  return Object.freeze({
    verify(token: string) {
      const verdict = judge.judge(token)
      return verdict instanceof Promise ? verdict.then(valueOf) : valueOf(verdict)
    },
  })
}

/** Verifies one token; rejects with an `AuthenticationError` that has the code of the refusal. For many tokens make a verifier once. */
export async function verify<C extends JwtClaims = JwtClaims>(token: string, options: VerifierOptions<C>): Promise<VerifiedJwt<C>> {
  const result = await createVerifier(options).verify(token)
  if (isRefused(result)) throw errorOf(result)
  return result
}

// Verifications waiting for a thread, of all verifiers together: at 20 to 70 µs each, about a tenth of a second of work.
const maxWaiting = 4096
let waiting = 0

// A digest and a principal take about 2 KB each.
const maxCacheEntries = 1_000_000

/** Makes of a verified token what is given out and remembered; `claims` are as the issuer wrote them, before any schema. */
export type Derive<C extends JwtClaims, T> = (verified: VerifiedJwt<C>, row: IssuerRow, claims: JwtClaims) => T | JwtRefused

type Verdict<T> = Acceptance<T> | JwtRefused

/** The engine behind {@link createVerifier} and `jwt()`. */
export class TokenJudge<C extends JwtClaims, T> {
  readonly #clock: Clock
  readonly #rows: ReadonlyMap<string, IssuerRow>
  readonly #schema: StandardSchema<C> | undefined
  readonly #revocations: RevocationCheck | undefined
  readonly #cache: TokenCache<T> | undefined
  readonly #inFlight = new Map<string, Promise<Verdict<T>>>()
  readonly #onLoop: boolean
  readonly #decryption: Decryption | undefined
  readonly #memo = new HeaderMemo()
  readonly #derive: Derive<C, T>

  constructor(options: VerifierOptions<C>, defaultCache: { readonly maxEntries: number } | 'none', derive: Derive<C, T>) {
    const { schema, revocations, tokenCache = defaultCache, verifyOn = 'threadPool', decryption, clock = systemClock, ...issuers } = options
    this.#clock = clock
    this.#rows = issuerTable(issuers, clock)
    requireGiven(options, ['schema', 'revocations'])
    this.#schema = schema === undefined ? undefined : requireSchema(schema)
    this.#revocations = revocations === undefined ? undefined : compileRevocations(revocations)
    this.#cache =
      tokenCache === 'none'
        ? undefined
        : new TokenCache(requireNumber('tokenCache.maxEntries', tokenCache.maxEntries, { min: 1, max: maxCacheEntries }))
    if (verifyOn !== 'threadPool' && verifyOn !== 'eventLoop')
      throw new ConfigurationError('ERR_OPTION_INVALID', 'verifyOn must be threadPool or eventLoop.')
    this.#onLoop = verifyOn === 'eventLoop'
    this.#decryption = decryption === undefined ? undefined : requireDecryption(decryption)
    this.#derive = derive
  }

  /** Judges a token, or finds that it was accepted before and still is. */
  judge(token: string): Verdict<T> | Promise<Verdict<T>> {
    if (typeof token !== 'string') return refuse('ERR_JWT_MALFORMED')
    if (token.length > maxTokenLength) return refuse('ERR_JWT_TOO_LARGE')
    if (this.#cache === undefined) return this.#judge(token)
    const digest = tokenDigest(token)
    const remembered = this.#cache.get(digest)
    if (remembered !== undefined) {
      const verdict = this.recheck(remembered)
      if (verdict !== undefined) return verdict
      this.#cache.delete(digest)
    }
    return this.#inFlight.get(digest) ?? this.#remember(digest, this.#judge(token))
  }

  /** Whether what was accepted still is; `undefined` where it must be judged anew: its time is over, or its key gone. */
  recheck(entry: Acceptance<T>): Verdict<T> | Promise<Verdict<T>> | undefined {
    const now = this.#clock.now()
    if (now >= entry.untilMs || now < entry.fromMs || !entry.key.isCurrent(now)) return undefined
    entry.used = true
    if (this.#revocations === undefined) return entry
    if (entry.revocations === undefined) return this.#unlessRevoked(this.#revocations, entry)
    return isAnyRevoked(entry.revocations) ? refuse('ERR_JWT_REVOKED') : entry
  }

  #remember(digest: string, verdict: Verdict<T> | Promise<Verdict<T>>): Verdict<T> | Promise<Verdict<T>> {
    if (verdict instanceof Promise) {
      // Equal tokens that come meanwhile wait for this one; how many different ones there are is bounded by maxWaiting.
      const landed = verdict.then((result) => this.#remember(digest, result)).finally(() => this.#inFlight.delete(digest))
      this.#inFlight.set(digest, landed)
      return landed
    }
    if (!isRefused(verdict)) this.#cache?.set(digest, verdict)
    return verdict
  }

  #judge(token: string): Verdict<T> | Promise<Verdict<T>> {
    const headerEnd = token.indexOf('.')
    const payloadEnd = token.indexOf('.', headerEnd + 1)
    if (headerEnd === -1 || payloadEnd === -1) return refuse('ERR_JWT_MALFORMED')
    if (token.includes('.', payloadEnd + 1)) return this.#open(token)
    const headerText = token.slice(0, headerEnd)
    const known = this.#memo.get(headerText)
    const header = known?.header ?? readHeader(headerText)
    if (isRefused(header)) return header
    const claims = decodeObject(token.slice(headerEnd + 1, payloadEnd))
    if (typeof claims === 'string') return refuse(claims, 'payload')
    const { iss } = claims
    if (iss === undefined) return refuse('ERR_JWT_CLAIM_MISSING', 'iss')
    if (typeof iss !== 'string') return refuse('ERR_JWT_CLAIM_INVALID', 'iss')
    const row = this.#rows.get(iss)
    if (row === undefined) return refuse('ERR_JWT_ISSUER_UNKNOWN', 'iss')
    const fault = (known?.row === row ? undefined : checkHeader(row, header)) ?? checkClaims(row, claims, this.#clock.now())
    if (fault !== undefined) return fault
    const parsed: Parsed = { token, headerText, payloadEnd, header, claims, row }
    const key = row.keys.find(header.kid, header.alg)
    if (!(key instanceof Promise)) return this.#withKey(parsed, key)
    // The token may have expired while its key was fetched.
    return key.then((found) => checkClaims(row, claims, this.#clock.now()) ?? this.#withKey(parsed, found))
  }

  /** An encrypted token: what is inside is judged as if it had come by itself. */
  #open(token: string): Verdict<T> | Promise<Verdict<T>> {
    const decryption = this.#decryption
    if (decryption === undefined) return refuse('ERR_JWT_MALFORMED')
    return offLoop(async () => (await import('./jwe.ts')).decrypt(token, decryption)).then((inner) => {
      if (isRefused(inner)) return inner
      return inner.split('.').length === 3 ? this.#judge(inner) : refuse('ERR_JWT_MALFORMED', 'content')
    })
  }

  #withKey(parsed: Parsed, key: VerificationKey | JwtRefused): Verdict<T> | Promise<Verdict<T>> {
    if (isRefused(key)) return key
    const check = key.checks.get(parsed.header.alg)
    if (check === undefined) return refuse('ERR_JWT_ALGORITHM_NOT_ALLOWED', 'alg')
    if (key.isDated && !key.isInDate(this.#clock.now())) return refuse('ERR_JWT_KEY_OUT_OF_DATE', 'kid')
    const { token, payloadEnd } = parsed
    const { verifyAsync } = check
    // All parts are canonical base64url by then, so that what was signed is ASCII.
    if (verifyAsync === undefined || this.#onLoop) {
      const signature = signatureScratch.decode(token.slice(payloadEnd + 1))
      if (signature === undefined) return refuse('ERR_JWT_BASE64URL', 'signature')
      return this.#signed(parsed, key, isValid(check, dataScratch.ascii(token, payloadEnd), signature))
    }
    const signature = fromBase64url(token.slice(payloadEnd + 1))
    if (signature === undefined) return refuse('ERR_JWT_BASE64URL', 'signature')
    const data = Buffer.from(token.slice(0, payloadEnd), 'latin1')
    return offLoop(() => verifyAsync(data, signature)).then(
      (valid) => this.#signed(parsed, key, valid),
      (error: unknown) => {
        if (isSecurityError(error, 'ERR_JWT_OVERLOADED')) throw error
        return refuse('ERR_JWT_SIGNATURE_INVALID', error)
      },
    )
  }

  #signed(parsed: Parsed, key: VerificationKey, valid: boolean): Verdict<T> | Promise<Verdict<T>> {
    if (!valid) return refuse('ERR_JWT_SIGNATURE_INVALID')
    const { headerText, header, row, claims } = parsed
    if (this.#memo.get(headerText)?.row !== row) this.#memo.add(headerText, header, row)
    const fault = checkMatchers(row, claims)
    if (fault !== undefined) return fault
    if (this.#schema === undefined) return this.#accept(parsed, key, claims as C)
    const typed = applySchema(this.#schema, claims)
    return typed instanceof Promise ? typed.then((result) => this.#accept(parsed, key, result)) : this.#accept(parsed, key, typed)
  }

  #accept({ header, row, claims }: Parsed, key: VerificationKey, typed: C | JwtRefused): Verdict<T> | Promise<Verdict<T>> {
    if (isRefused(typed)) return typed
    // Before the question, so that no revocation falls between the two.
    const revocations = this.#revocations?.handlesOf(claims)
    const fromMs = Math.max(acceptedFromMs(row, claims), key.notBeforeMs)
    const untilMs = Math.min(acceptedUntilMs(row, claims), key.notAfterMs)
    const ends = revocations === undefined ? [key.revocation] : [key.revocation, ...revocations]
    const value = this.#derive(new VerifiedJwt(header, typed, ends, { fromMs, untilMs }, key), row, claims)
    if (isRefused(value)) return value
    const entry: Acceptance<T> = {
      value,
      claims,
      key,
      revocations,
      fromMs,
      untilMs,
      used: false,
    }
    return this.#revocations === undefined ? entry : this.#unlessRevoked(this.#revocations, entry)
  }

  #unlessRevoked(check: RevocationCheck, entry: Acceptance<T>): Verdict<T> | Promise<Verdict<T>> {
    const revoked = check.isRevoked(entry.claims)
    const outcome = (is: boolean): Verdict<T> => (is || isAnyRevoked(entry.revocations) ? refuse('ERR_JWT_REVOKED') : entry)
    return revoked instanceof Promise ? revoked.then(outcome) : outcome(revoked)
  }
}

interface Parsed {
  readonly token: string
  readonly headerText: string
  readonly payloadEnd: number
  readonly header: JwtHeader
  readonly claims: JwtClaims
  readonly row: IssuerRow
}

function deepFreeze<T extends object>(value: T): T {
  Object.freeze(value)
  for (const item of Object.values(value) as readonly unknown[])
    if (typeof item === 'object' && item !== null && !Object.isFrozen(item)) deepFreeze(item)
  return value
}

function isAnyRevoked(revocations: readonly Revocation[] | undefined): boolean {
  return revocations?.some((one) => one.revoked) === true
}

function issuerTable(options: IssuersOptions, clock: Clock): ReadonlyMap<string, IssuerRow> {
  if (options.issuers === undefined) {
    const row = issuerRow(options, clock)
    return new Map([[row.issuer, row]])
  }
  checkOptions<Pick<IssuersOptions, 'issuers'>>('With issuers, the options of each stand in its row: this', options, { issuers: true })
  const list: unknown = options.issuers
  if (!Array.isArray(list) || list.length === 0)
    throw new ConfigurationError('ERR_OPTION_INVALID', 'issuers must be a list that is not empty.')
  const rows = new Map<string, IssuerRow>()
  for (const one of options.issuers) {
    const row = issuerRow(one, clock)
    if (rows.has(row.issuer))
      throw new ConfigurationError<JwtErrorCode>('ERR_JWT_ISSUER_DUPLICATE', `The issuer ${row.issuer} stands twice in the table.`)
    rows.set(row.issuer, row)
  }
  return rows
}

function isValid(check: SignatureCheck, data: Buffer, signature: Buffer): boolean {
  try {
    return check.verify(data, signature)
  } catch {
    // What the runtime cannot even compute with is no valid signature.
    return false
  }
}

async function offLoop<R>(work: () => Promise<R>): Promise<R> {
  if (waiting >= maxWaiting) {
    throw new UnavailableError<JwtErrorCode>('ERR_JWT_OVERLOADED', {
      message: `${maxWaiting} tokens wait for a thread.`,
      reason: 'overload',
      retryAfterMs: 1000,
    })
  }
  waiting++
  try {
    return await work()
  } finally {
    waiting--
  }
}
