/**
 * `@portcullis/jwt`: issues and verifies JSON Web Tokens, and secures services with them (`jwt()`).
 *
 * Use it where tokens are signed by issuers that you trust and their public keys can be had. Not for tokens that only
 * their issuer can read (introspection is in `@portcullis/oauth2`), not for sessions of a browser with its own server
 * (a cookie that names server-side state is simpler and can be ended), and not to keep data secret: a signed token is
 * readable by whoever holds it.
 */
export { jwtErrorCodes } from './errors.ts'
export type { JwtErrorCode, JwtRefused } from './errors.ts'
export { algorithms } from './algorithms.ts'
export type { Algorithm, HmacAlgorithm } from './algorithms.ts'
export type { JwtHeader } from './header.ts'
export type { ClaimMatcher, IssuerOptions, JwtClaims, Profile } from './claims.ts'
export { keySet } from './keys.ts'
export type {
  JsonWebKeySet,
  KeySource,
  KeySet,
  LocalKeys,
  LocalKeySet,
  LocalSetOptions,
  PublicKeyOptions,
  SecretOptions,
  VerificationKey,
} from './keys.ts'
export { maxTokenLength } from './compact.ts'
export { decodeUnverified } from './decode.ts'
export type { UnverifiedJwt } from './decode.ts'
export { parseObject } from './strict-json.ts'
export type { JsonObject } from './strict-json.ts'
export { createVerifier, verify } from './verify.ts'
export { denyList } from './deny-list.ts'
export type { Denial, DenyList } from './deny-list.ts'
export { remoteKeySet } from './jwks.ts'
export type { RemoteKeySet, RemoteKeysOptions } from './jwks.ts'
export type { KeysOption } from './key-options.ts'
export type { Fetch, FetchResponse } from './fetch-document.ts'
export type { IssuersOptions, VerifiedJwt, Verifier, VerifierOptions, VerifierSettings } from './verify.ts'
export type { Revocations } from './revocations.ts'
export type { StandardSchema } from './schema.ts'
export { decryptToken, encryptToken, tokenEncrypter } from './encryption.ts'
export type { ContentEncryption, DecryptionKey, DecryptionOptions, EncryptionOptions, KeyManagement } from './encryption.ts'
export { createIssuer, createSigner, issue } from './sign.ts'
export type { ExtraHeader, Issuer, IssuerSettings, JwtSigner, SignerOptions, SigningKey, TokenContent } from './sign.ts'
export { accessTokenJudge, jwt } from './authenticator.ts'
export type { AccessTokenJudge, JwtOptions } from './authenticator.ts'
export { claimsJudge } from './claims-judge.ts'
export type { ClaimsJudge, ClaimsJudgeOptions } from './claims-judge.ts'
export type { Standing } from './principal.ts'
export { selfSignedJwt } from './self-signed.ts'
export type { SelfSignedJwtOptions } from './self-signed.ts'
