const brand = Symbol.for('portcullis.error')

/**
 * What went wrong, in the only distinction that decides an answer: the peer did not prove who it is
 * (`authentication`), it may not do this (`authorization`), nobody can tell at the moment (`unavailable`), or the
 * caller of this library made a mistake (`configuration`).
 */
export type ErrorFamily = 'authentication' | 'authorization' | 'unavailable' | 'configuration'

/** What a {@link SecurityError} is made of. */
export interface SecurityErrorInit {
  /** For the log: what was wrong, where, what to do. Never crosses the wire, and never holds a secret. */
  readonly message: string
  /** For the peer. Without it, a fixed sentence of the family is sent. */
  readonly publicMessage?: string
  /** The error that led here, kept for the log. */
  readonly cause?: unknown
}

const publicTexts: Readonly<Record<ErrorFamily, string>> = {
  authentication: 'The credentials were not accepted.',
  authorization: 'This is not permitted.',
  unavailable: 'The request cannot be judged at the moment.',
  configuration: 'The service is not configured correctly.',
}

/**
 * The one error type of all Portcullis packages: a stable `code`, one of four families, and two texts.
 *
 * `message` and `cause` are for the log; only `publicMessage` may be sent to a peer. Tell errors apart by
 * {@link isSecurityError} and `code`, not by `instanceof`: two copies of this package may be in one process.
 */
export abstract class SecurityError<Code extends string = string> extends Error {
  abstract readonly family: ErrorFamily
  readonly code: Code
  readonly #publicMessage: string | undefined

  constructor(code: Code, init: SecurityErrorInit | string) {
    const { message, publicMessage, cause } = typeof init === 'string' ? { message: init } : init
    super(message, cause === undefined ? undefined : { cause })
    this.name = new.target.name
    this.code = code
    this.#publicMessage = publicMessage
  }

  /** The text that a peer may read. */
  get publicMessage(): string {
    return this.#publicMessage ?? publicTexts[this.family]
  }

  get [brand](): true {
    return true
  }
}

/** The peer did not prove who it is. */
export class AuthenticationError<Code extends string = string> extends SecurityError<Code> {
  readonly family = 'authentication'
}

/** The peer is known and may not do this. */
export class AuthorizationError<Code extends string = string> extends SecurityError<Code> {
  readonly family = 'authorization'
}

/** What is needed to judge cannot be reached, or has no room at the moment. Never a reason to allow. */
export class UnavailableError<Code extends string = string> extends SecurityError<Code> {
  readonly family = 'unavailable'
  /** When it is worth trying again, in milliseconds; `undefined` if nobody knows. */
  readonly retryAfterMs: number | undefined
  /** `overload`: the limit is ours; `outage`: something that we depend on does not answer. */
  readonly reason: 'outage' | 'overload'

  constructor(
    code: Code,
    init: (SecurityErrorInit & { readonly retryAfterMs?: number; readonly reason?: 'outage' | 'overload' }) | string,
  ) {
    super(code, init)
    this.retryAfterMs = typeof init === 'string' ? undefined : init.retryAfterMs
    this.reason = typeof init === 'string' ? 'outage' : (init.reason ?? 'outage')
  }
}

/** The caller of this library made a mistake; thrown when something is made, not when a request arrives. */
export class ConfigurationError<Code extends string = string> extends SecurityError<Code> {
  readonly family = 'configuration'
}

/** Tells an error of any Portcullis package, of any copy in the process; optionally one with this code. */
export function isSecurityError<Code extends string = string>(value: unknown, code?: Code): value is SecurityError<Code> {
  return (
    typeof value === 'object' &&
    value !== null &&
    (value as { [brand]?: unknown })[brand] === true &&
    (code === undefined || (value as { code?: unknown }).code === code)
  )
}

/** The codes of the errors of `@portcullis/core`, each with its meaning. */
export const coreErrorCodes = {
  ERR_OPTION_UNKNOWN: 'An option key that does not exist, often a misspelling.',
  ERR_OPTION_MISSING: 'A required option is absent.',
  ERR_OPTION_INVALID:
    'An option has a value that could switch a check off or makes no sense: an empty text or list, zero, NaN, a wrong type.',
  ERR_POLICY_EMPTY: 'A policy or a list of authorizers is empty.',
  ERR_POLICY_TOO_LARGE: 'A policy expands to more alternatives than allowed.',
  ERR_PRINCIPAL_INVALID: 'A principal was vouched for without a subject, or with values of wrong types.',
  ERR_GUARD_MISSING: 'A listener was made without a guard.',
  ERR_GUARD_NOT_RUN: 'The principal of a request was asked for, and no guard has allowed that request.',
  ERR_CREDENTIAL_MISSING: 'No credential was presented.',
  ERR_CREDENTIAL_MALFORMED: 'A credential could not be read.',
  ERR_CREDENTIAL_AMBIGUOUS: 'Two credentials came in one carrier, or one kind came in two.',
  ERR_CONFIRMATION_UNMET: 'The principal is bound to a key, and the peer has not shown that it holds that key.',
  ERR_PRINCIPAL_EXPIRED: 'The principal is no longer valid.',
  ERR_PRINCIPAL_REVOKED: 'The principal was revoked.',
  ERR_SCOPE_INSUFFICIENT: 'The principal does not have a scope that is needed.',
  ERR_POLICY_FORBIDDEN: 'An authorizer refused.',
  ERR_STEP_UP_REQUIRED: 'A stronger or fresher authentication is needed.',
  ERR_VERDICT_INVALID: 'An authenticator or authorizer returned something that is no verdict.',
  ERR_INTERNAL: 'An unexpected exception; never a reason to allow.',
  ERR_OVERLOADED: 'A bounded queue or table is full.',
  ERR_SOURCE_TARGET: 'A credential source was asked for a credential for a target that it was not made for.',
  ERR_SOURCE_INSECURE: 'A credential source was asked for a credential for an insecure channel.',
  ERR_SOURCE_EXHAUSTED: 'A credential source has no credential other than the one that was refused.',
  ERR_SOURCE_NOT_READY: 'A warm credential was asked for before the first one was fetched, or after the last one expired.',
  ERR_CALLER_MISSING: 'A call on behalf of a caller was made without one.',
  ERR_ABORTED: 'The caller gave up.',
  ERR_DEAD_LETTER: 'A refused message could not be stored among the dead letters yet.',
} as const

/** A code of an error of `@portcullis/core`. */
export type CoreErrorCode = keyof typeof coreErrorCodes
