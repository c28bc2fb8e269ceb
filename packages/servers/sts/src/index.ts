/**
 * `@portcullis/sts`: an embedded authorization server for services: it issues, exchanges, introspects and revokes access
 * tokens, over HTTPS, for the clients and users that it is given.
 *
 * For tests, small systems and systems without another one. Not for people who log in with a browser: there is no
 * authorization endpoint, no consent and no ID token; take an OpenID provider for that, whose tokens `@portcullis/jwt`
 * and `@portcullis/oauth2` judge all the same.
 */
export { createSts } from './sts.ts'
export type { Sts } from './sts.ts'
export type { StsOptions } from './options.ts'
export type { StsAudience } from './audiences.ts'
export type { StsCertificateName, StsClient, StsClientProof, StsClientRights } from './clients.ts'
export type { StsGrant } from './grants/grant.ts'
export type { AssertedSubject, StsAssertionIssuer } from './grants/jwt-bearer.ts'
export type { ExchangePolicy, StsExchange } from './grants/token-exchange.ts'
export type { StsClaims } from './service.ts'
export type { StsEvent, StsReport, StsTokenFacts } from './events.ts'
export type { StsKey } from './keys.ts'
export { memoryState } from './state/memory.ts'
export type { MemoryStateOptions } from './state/memory.ts'
export type { Consumed, StateEntry, StoredEntry, StsState } from './state/state.ts'
export { stsErrorCodes } from './errors.ts'
export type { StsErrorCode } from './errors.ts'
