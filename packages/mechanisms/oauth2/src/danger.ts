/**
 * Ways to weaken `@portcullis/oauth2`. Each is a symbol, so that none can arrive from data and a search finds every use.
 */
export { anyAudience } from '@portcullis/jwt/danger'

/**
 * As `issuerClaim` of `introspection()`: accepts answers that do not say whose the token is (RFC 7662 leaves `iss` out
 * where it likes); whoever answers at the endpoint is then taken for the issuer. Sound only where that server answers
 * for tokens of its own and for no others.
 */
export const withoutIssuerClaim: unique symbol = Symbol.for('portcullis.oauth2.withoutIssuerClaim') as never
