/**
 * `@portcullis/core`: the guard that decides in every protocol, and the types that mechanisms and adapters share.
 *
 * Install an adapter (`@portcullis/http`, …) and a mechanism (`@portcullis/jwt`, …) rather than this package: an
 * adapter re-exports the verbs of the core. Depend on it directly to write an adapter or a mechanism of your own.
 */
export { Secret, isSecret, secret } from './secret.ts'
export { AuthenticationError, AuthorizationError, ConfigurationError, SecurityError, UnavailableError, coreErrorCodes, isSecurityError } from './errors.ts'
export type { CoreErrorCode, ErrorFamily, SecurityErrorInit } from './errors.ts'
export { checkOptions, requireFunction, requireNumber, requireText, requireTexts } from './options.ts'
export { systemClock } from './clock.ts'
export type { Clock, Timer } from './clock.ts'
export { credentialOf } from './credential.ts'
export type { Credential, CredentialKind, CredentialKinds } from './credential.ts'
export type { AccessRequest, Channel, PeerCertificate, PeerChannel, RelayChannel, RequestBinding } from './access-request.ts'
export { Revocation } from './revocation.ts'
export { anonymous, isPrincipal, sameSubject, vouchForPrincipal } from './principal.ts'
export type { Anonymous, Claims, Confirmation, Principal, PrincipalInit } from './principal.ts'
export { authenticator, notMine, refused } from './authenticator.ts'
export type { Advice, AuthenticationContext, Authenticator, NotMine, Offer, Proven, Refused, Verdict } from './authenticator.ts'
export { forbid, granted, scope, stepUp } from './authorizer.ts'
export type { Action, Authorization, Authorizer, Denied, Granted } from './authorizer.ts'
export type { Allow, Challenge, Decision, Explanation, Forbid, LeafExplanation, Reason, Refusal, Unavailable } from './decision.ts'
export type { AnySource, BoundSource, CredentialSource, DelegatedSource, SourceRequest, Supplied, Target } from './source.ts'
