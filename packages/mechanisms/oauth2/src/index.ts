/**
 * `@portcullis/oauth2`: supplies clients with access tokens of an authorization server, and secures services with
 * tokens that only that server can judge (`introspection()`) or that are bound to a key (`dpopTokens()`).
 *
 * Use it where tokens come from a server. Not for tokens that can be verified by a published key (`jwt()` of
 * `@portcullis/jwt` needs no call for each), not for static tokens (`@portcullis/auth`), and not to log users of a web
 * site in.
 */
export { OAuthRefusal, oauth2ErrorCodes } from './errors.ts'
export type { OAuth2ErrorCode } from './errors.ts'
export { authorizationServer } from './authorization-server.ts'
export type { AuthorizationServer, AuthorizationServerOptions, Endpoints } from './authorization-server.ts'
export {
  clientAuthenticationMethods,
  clientSecretBasic,
  clientSecretJwt,
  clientSecretPost,
  none,
  privateKeyJwt,
  tlsClientAuth,
} from './client-authentication.ts'
export type { AssertionOptions, ClientAuthentication, ClientAuthenticationMethod, ClientSecretOptions } from './client-authentication.ts'
export type { SecretInput } from './secret-input.ts'
export type { Parameters, TokenTarget, TokenTargets } from './token-parameters.ts'
export type { GrantOptions, TokenEvent, TokenSource } from './token-source.ts'
export { clientCredentials } from './client-credentials.ts'
export type { ClientCredentialsOptions } from './client-credentials.ts'
export { introspection, introspectionJudge } from './introspection.ts'
export type { IntrospectionJudgeOptions, IntrospectionOptions } from './introspection.ts'
export type { IntrospectionCallOptions, SignedAnswersOptions } from './introspection-call.ts'
export type { TokenCredential, TokenJudge } from './token-judge.ts'
export { revokeToken } from './revoke-token.ts'
export type { RevokeTokenOptions } from './revoke-token.ts'
export { password } from './password.ts'
export type { PasswordOptions, RefreshOptions } from './password.ts'
export { directToken, refreshToken } from './refresh-token.ts'
export type { DirectTokenOptions, RefreshTokenOptions } from './refresh-token.ts'
export { jwtBearer } from './jwt-bearer.ts'
export type { JwtBearerOptions } from './jwt-bearer.ts'
export { tokenExchange } from './token-exchange.ts'
export type { PartyToken, TokenExchangeOptions, TokenType } from './token-exchange.ts'
export { deviceAuthorization } from './device-authorization.ts'
export type { DeviceAuthorizationOptions, UserCode } from './device-authorization.ts'
export { authorizationCode } from './authorization-code.ts'
export type { AuthorizationCodeOptions } from './authorization-code.ts'
export { dpop } from './dpop.ts'
export type { DpopOptions } from './dpop.ts'
export { dpopTokens } from './dpop-tokens.ts'
export type { DpopTokensOptions } from './dpop-tokens.ts'
export { dpopNonces } from './dpop-nonces.ts'
export type { DpopNonces } from './dpop-nonces.ts'
export { memoryReplayStore, redisReplayStore } from './replay-store.ts'
export type { RedisReplayStoreOptions, ReplayStore } from './replay-store.ts'
export { certificateBound } from './certificate-bound.ts'
export { resourceMetadata } from './resource-metadata.ts'
export type { ResourceMetadata, ResourceMetadataOptions } from './resource-metadata.ts'
export { acr, maxAge } from './step-up.ts'
export { propagated } from './propagated.ts'
export type { PasswordPropagation, PropagatedOptions, PropagatedSource, PropagationExchange, TokenPropagation } from './propagated.ts'
