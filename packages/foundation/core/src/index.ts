/**
 * `@portcullis/core`: the guard that decides in every protocol, and the types that mechanisms and adapters share.
 *
 * Install an adapter (`@portcullis/http`, …) and a mechanism (`@portcullis/jwt`, …) rather than this package: an
 * adapter re-exports the verbs of the core. Depend on it directly to write an adapter or a mechanism of your own.
 */
export { Secret, isSecret, secret } from './secret.ts'
export {
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  SecurityError,
  UnavailableError,
  coreErrorCodes,
  isSecurityError,
} from './errors.ts'
export type { CoreErrorCode, ErrorFamily, SecurityErrorInit } from './errors.ts'
export { checkOptions, requireFunction, requireNumber, requireText, requireTexts } from './options.ts'
export { systemClock, wait } from './clock.ts'
export type { Clock, Timer } from './clock.ts'
export { credentialOf } from './credential.ts'
export type { Credential, CredentialKind, CredentialKinds } from './credential.ts'
export type { AccessRequest, Channel, MessageFacts, PeerCertificate, PeerChannel, RelayChannel, RequestBinding } from './access-request.ts'
export { Revocation } from './revocation.ts'
export { anonymous, isPrincipal, sameSubject, scopesOf, vouchForPrincipal } from './principal.ts'
export type { Anonymous, Claims, Confirmation, Principal, PrincipalInit } from './principal.ts'
export { authenticator, notMine, refused } from './authenticator.ts'
export type { Advice, AuthenticationContext, Authenticator, NotMine, Offer, Proven, Refused, Verdict } from './authenticator.ts'
export { forbid, granted, scope, stepUp } from './authorizer.ts'
export type { Action, Authorization, Authorizer, Denied, Granted } from './authorizer.ts'
export type { Allow, Challenge, Decision, Explanation, Forbid, LeafExplanation, Reason, Refusal, Unavailable } from './decision.ts'
export { absent, allOf, anyOf, everyone, maxAlternatives, withScopes } from './policy.ts'
export type { Composition, Everyone, Policy } from './policy.ts'
export { Guard, guard, isGuard, principalOf, requireGuard } from './guard.ts'
export type { GuardOptions, Level } from './guard.ts'
export type { AuditEvent, AuditPrincipal, AuditSubscriber, DecisionEvent, OverflowEvent, ReportedEvent, ReportEvent } from './audit.ts'
export { AuthSession, defaultMaxSessionMs, defaultWarnBeforeMs, maxFailedReauthentications, maxGraceMs } from './session.ts'
export type { AuthSessionOptions, EndReason, Watched } from './session.ts'
export { BoundedCache, SingleFlight } from './cache.ts'
export {
  cached,
  defaultRefreshAheadMs,
  forTargets,
  isExhausted,
  keepWarm,
  maxRetryMs,
  originOf,
  sameCredential,
} from './credential-sources.ts'
export type { CachedOptions, KeepWarmOptions, WarmCredential } from './credential-sources.ts'
export { otherCredential } from './other-credential.ts'
export { messageBinding, messageCallerHeader, messageIdentityHeader } from './message-binding.ts'
export type { MessageInit } from './message-binding.ts'
export { maxDeadLettersPerSecond, maxPauseMs, MessageGate } from './message-gate.ts'
export type { MessageGateOptions } from './message-gate.ts'
export { deadLetterHeaderPrefix, deadLetterHeaders, deadLetterReasons } from './dead-letter.ts'
export type { DeadLetter } from './dead-letter.ts'
export { messageCredentials } from './message-credentials.ts'
export { messageSealer } from './message-sealer.ts'
export type { MessageHeader, MessageSealerOptions } from './message-sealer.ts'
export { backoffMs, maxRetryDelayMs, pause, retryDelayMs, retrying } from './retry.ts'
export { inboundCredentials } from './inbound-credentials.ts'
export type { InboundCredentials } from './inbound-credentials.ts'
export { ambientCaller, runAs } from './ambient.ts'
export {
  formatAuthorization,
  formatChallenges,
  maxAuthorizationLength,
  parseAuthorization,
  parseChallenges,
} from './authorization-header.ts'
export type { ParsedChallenge } from './authorization-header.ts'
export type { AnySource, BoundSource, CredentialSource, DelegatedSource, SourceRequest, Supplied, Target } from './source.ts'
