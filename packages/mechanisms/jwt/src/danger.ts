/**
 * Ways to weaken `@portcullis/jwt`. Each is a symbol, so that none can arrive from data and a search finds every use.
 */

/**
 * As `audience`: accepts a token whoever it is meant for, also one that names nobody. Whoever receives a token from
 * this issuer can then use it here (RFC 8725 section 3.9). Sound only where every token of the issuer is for this
 * service alone.
 */
export const anyAudience: unique symbol = Symbol.for('portcullis.jwt.anyAudience') as never

/**
 * As `expiry`: accepts tokens that never expire, beside those that do and have not. Nothing but a change of keys or a
 * deny list ends such a token.
 */
export const withoutExpiry: unique symbol = Symbol.for('portcullis.jwt.withoutExpiry') as never
