import { createHmac, generateKeyPairSync, randomUUID, sign, type JsonWebKey, type KeyObject } from 'node:crypto'

import { Revocation } from '@portcullis/core'
import { manualClock, type ManualClock } from '@portcullis/core/testing'

/** How a minted token is wrong, beyond its claims. */
export type Defect =
  /** `alg: none` and no signature (RFC 8725 section 3.2). */
  | 'unsigned'
  /** An HMAC whose secret is the issuer's public key (RFC 8725 section 2.1). */
  | 'algorithmConfusion'
  /** Signed by a key that the issuer does not publish, under an identifier that it does not know. */
  | 'unknownKey'
  /** Signed by a key that the issuer does not publish, under the identifier of one that it does. */
  | 'foreignKey'
  /** The claims were changed after signing. */
  | 'tampered'

/** What a token says, in facts. What is left out is sound. */
export interface TokenFacts {
  /** Default `alice`. */
  readonly subject?: string
  /** Default: the audience of the test issuer. */
  readonly audience?: string | readonly string[]
  /** Default: the test issuer itself. */
  readonly issuer?: string
  /** The claim is left out if this is empty or absent. */
  readonly scopes?: readonly string[]
  /** From now; negative for one that has expired. Default 300. `never` leaves the claim out. */
  readonly expiresInSeconds?: number | 'never'
  /** From now; left out by default. */
  readonly notBeforeInSeconds?: number
  /** The key that it is bound to: `{ 'x5t#S256': … }` or `{ jkt: … }` (RFC 7800). */
  readonly confirmation?: Readonly<Record<string, string>>
  /** Further claims, which win over those made from the facts. */
  readonly claims?: Readonly<Record<string, unknown>>
  /** Further header parameters, which win likewise. */
  readonly header?: Readonly<Record<string, unknown>>
  readonly defect?: Defect
}

/** What {@link testIssuer} takes. */
export interface TestIssuerOptions {
  /** What its tokens and {@link TestIssuer.expire} go by. Default: one that stands still at 2026-01-01. Give it to the guard too. */
  readonly clock?: ManualClock
  /** Default `https://issuer.test`. */
  readonly issuer?: string
  /** Default `orders`. */
  readonly audience?: string
  /** Default ES256, which is quickest to make keys for. */
  readonly algorithm?: 'ES256' | 'EdDSA' | 'RS256'
}

interface SigningKey {
  readonly id: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

const makePair = {
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
} as const

/**
 * An authorization server's half that tests need, in the process and without a network: it mints tokens that are sound
 * or wrong in any way, rotates its keys, lets tokens expire at once, and revokes. For tests only: it signs whatever it
 * is told to.
 *
 * ```ts no-run
 * const issuer = testIssuer()
 * const tokens = jwt({ issuer: issuer.issuer, audience: issuer.audience, keys: { jwks: issuer.jwks }, clock: issuer.clock })
 * const orders = guard({ authenticate: tokens, clock: issuer.clock })
 * const expired = issuer.token({ subject: 'alice', expiresInSeconds: -1 })
 * ```
 */
export class TestIssuer {
  readonly issuer: string
  readonly audience: string
  readonly clock: ManualClock
  readonly #algorithm: keyof typeof makePair
  readonly #stranger: SigningKey
  readonly #subjects = new Map<string, Revocation>()
  readonly #minted = new Map<string, { readonly token: Revocation; readonly subject: Revocation }>()
  #keys: readonly [SigningKey, ...SigningKey[]]

  /** Use {@link testIssuer}. */
  constructor(options: TestIssuerOptions) {
    this.issuer = options.issuer ?? 'https://issuer.test'
    this.audience = options.audience ?? 'orders'
    this.clock = options.clock ?? manualClock()
    this.#algorithm = options.algorithm ?? 'ES256'
    this.#keys = [this.#makeKey()]
    this.#stranger = this.#makeKey()
  }

  /** The keys as they are published now, the signing one first (RFC 7517 section 5). */
  get jwks(): { readonly keys: JsonWebKey[] } {
    return {
      keys: this.#keys.map(({ id, publicKey }) => ({ ...publicKey.export({ format: 'jwk' }), kid: id, alg: this.#algorithm, use: 'sig' })),
    }
  }

  /** What {@link TestIssuer.revoke} has done, for the option `revocations` of `jwt()` and `createVerifier()`. */
  get revocations(): {
    isRevoked(claims: Readonly<Record<string, unknown>>): boolean
    handlesOf(claims: Readonly<Record<string, unknown>>): readonly Revocation[]
  } {
    return {
      isRevoked: (claims) => this.#revocationsOf(claims).some((revocation) => revocation.revoked),
      handlesOf: (claims) => this.#revocationsOf(claims),
    }
  }

  /** Mints a token (RFC 9068: `at+jwt`). */
  token(facts: TokenFacts = {}): string {
    const nowSeconds = Math.floor(this.clock.now() / 1000)
    const {
      subject = 'alice',
      audience = this.audience,
      issuer = this.issuer,
      scopes = [],
      expiresInSeconds = 300,
      notBeforeInSeconds,
      confirmation,
    } = facts
    const jti = randomUUID()
    const claims = {
      iss: issuer,
      sub: subject,
      aud: audience,
      iat: nowSeconds,
      ...(expiresInSeconds !== 'never' && { exp: nowSeconds + expiresInSeconds }),
      ...(notBeforeInSeconds !== undefined && { nbf: nowSeconds + notBeforeInSeconds }),
      ...(scopes.length > 0 && { scope: scopes.join(' ') }),
      ...(confirmation && { cnf: confirmation }),
      client_id: 'testkit',
      jti,
      ...facts.claims,
    }
    this.#minted.set(jti, { token: new Revocation(), subject: this.revocationOf(subject) })
    return this.sign({ typ: 'at+jwt', ...facts.header }, claims, facts.defect)
  }

  /** Signs any header and payload as a compact JWS, for what is not an access token. `alg` and `kid` are put in unless given. */
  sign(header: Readonly<Record<string, unknown>>, payload: Readonly<Record<string, unknown>>, defect?: Defect): string {
    const stranger = defect === 'unknownKey' || defect === 'foreignKey'
    const [published] = this.#keys
    const key = stranger ? this.#stranger : published
    const algorithm = defect === 'unsigned' ? 'none' : defect === 'algorithmConfusion' ? 'HS256' : this.#algorithm
    const head = encode({ alg: algorithm, kid: defect === 'unknownKey' ? this.#stranger.id : published.id, ...header })
    const signed = `${head}.${encode(payload)}`
    switch (defect) {
      case 'unsigned':
        return `${signed}.`
      case 'algorithmConfusion':
        return `${signed}.${createHmac('sha256', key.publicKey.export({ type: 'spki', format: 'pem' }))
          .update(signed)
          .digest('base64url')}`
      case 'tampered':
        return `${head}.${encode({ ...payload, scope: 'admin' })}.${this.#signature(key, signed)}`
      case 'unknownKey':
      case 'foreignKey':
      case undefined:
        return `${signed}.${this.#signature(key, signed)}`
    }
  }

  /** From here on a new key signs. The old ones stay published until {@link TestIssuer.retire}. */
  rotate(): void {
    this.#keys = [this.#makeKey(), ...this.#keys]
  }

  /** Publishes nothing any more but the key that signs. */
  retire(): void {
    this.#keys = [this.#keys[0]]
  }

  /** Moves the clock to the very second at which this token expires, and runs the timers that fall due. */
  async expire(token: string): Promise<void> {
    const { exp } = claimsOf(token)
    if (typeof exp === 'number') await this.clock.advanceAsync(Math.max(0, exp * 1000 - this.clock.now()))
  }

  /** Revokes a token, or everything that a subject was given so far. Live connections end; what is minted afterwards counts again. */
  revoke(what: { readonly token: string } | { readonly subject: string }): void {
    if ('token' in what) return this.#minted.get(String(claimsOf(what.token).jti))?.token.revoke('the token was revoked')
    const revocation = this.revocationOf(what.subject)
    this.#subjects.delete(what.subject)
    return revocation.revoke('the subject was revoked')
  }

  /** The revocation that what a subject is given now will carry; for mechanisms of tests, whose principals {@link TestIssuer.revoke} is to reach. */
  revocationOf(subject: string): Revocation {
    const revocation = this.#subjects.get(subject) ?? new Revocation()
    this.#subjects.set(subject, revocation)
    return revocation
  }

  #revocationsOf(claims: Readonly<Record<string, unknown>>): readonly Revocation[] {
    const minted = this.#minted.get(String(claims['jti']))
    return minted === undefined ? [this.revocationOf(String(claims['sub']))] : [minted.token, minted.subject]
  }

  #makeKey(): SigningKey {
    return { id: randomUUID(), ...makePair[this.#algorithm]() }
  }

  #signature(key: SigningKey, text: string): string {
    // RFC 7518 section 3.4: r and s side by side; EdDSA has no digest of its own to name (RFC 8037 section 3.1).
    return sign(this.#algorithm === 'EdDSA' ? null : 'sha256', Buffer.from(text), {
      key: key.privateKey,
      dsaEncoding: 'ieee-p1363',
    }).toString('base64url')
  }
}

/** Makes a {@link TestIssuer}. */
export function testIssuer(options: TestIssuerOptions = {}): TestIssuer {
  return new TestIssuer(options)
}

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

/** The claims of a token that the tests made themselves; nothing is verified. */
function claimsOf(token: string): Readonly<Record<string, unknown>> {
  return JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as Record<string, unknown>
}
