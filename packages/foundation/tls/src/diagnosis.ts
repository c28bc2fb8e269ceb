import {
  AuthenticationError,
  AuthorizationError,
  ConfigurationError,
  isSecurityError,
  UnavailableError,
  type ErrorFamily,
  type SecurityError,
} from '@portcullis/core'
import { tlsFailureOf, type TlsFailure } from './failure.ts'

/** What an error of a library may say of itself. Which of these are there, and what they mean, is for the adapter to know. */
export interface Evidence {
  readonly name?: unknown
  readonly code?: unknown
  readonly type?: unknown
  readonly message?: unknown
}

/** What {@link diagnosis} is made of. */
export interface DiagnosisOptions<Code extends string> {
  /** What each code of the adapter says, for the log. */
  readonly sentences: Readonly<Record<Code, string>>
  /** Outages are `unavailable` and worth another attempt; everything else is a refusal or a mistake and is not. */
  readonly families: Readonly<Record<Code, ErrorFamily>>
  readonly tls: Readonly<Record<TlsFailure, Code>>
  /** What one error says, in the library's own words; `undefined` if nothing. Not asked for what TLS found. */
  readonly meaningOf: (evidence: Evidence) => Code | undefined
  /** The code for what nothing is known of. */
  readonly otherwise: NoInfer<Code>
}

/** How an adapter tells what its library means by an error. */
export interface Diagnosis<Code extends string> {
  /** An error with one code for each thing that an operator does something different about. */
  readonly diagnose: (error: unknown) => SecurityError
  /** An error with this code, for what the library says in its own words only. */
  readonly codedAs: (code: Code, cause?: unknown) => SecurityError
}

/**
 * Makes an adapter's `diagnose`: for libraries that open the connection by themselves and wrap what they got, once for
 * each layer and attempt.
 *
 * An error of Portcullis within it, such as one of a credential source, is returned as it is, and of several a refusal
 * rather than the outage after it. Otherwise the outermost error that says anything tells the code.
 */
export function diagnosis<Code extends string>(options: DiagnosisOptions<Code>): Diagnosis<Code> {
  const { sentences, families, tls, meaningOf, otherwise } = options
  const codedAs = (code: Code, cause?: unknown): SecurityError => new classes[families[code]](code, { message: sentences[code], cause })
  const codeOf = (evidence: Evidence): Code | undefined => {
    const failure = typeof evidence.code === 'string' ? tlsFailureOf(evidence.code) : undefined
    return failure === undefined ? meaningOf(evidence) : tls[failure]
  }
  const diagnose = (error: unknown): SecurityError => {
    const found = errorsWithin(error)
    // What TLS found has a code of the adapter.
    const ours = found.filter((one) => isSecurityError(one)).filter(({ code }) => !code.startsWith('ERR_TLS_'))
    const told = ours.find(({ family }) => family !== 'unavailable') ?? ours[0]
    if (told !== undefined) return told
    for (const one of found) {
      const code = codeOf(one)
      if (code !== undefined) return codedAs(code, error)
    }
    return codedAs(otherwise, error)
  }
  return { diagnose, codedAs }
}

// Libraries wrap an error once for each layer and attempt; beyond this there is nothing new.
const maxDepth = 8
const maxErrors = 100

/** An error and all within it (`cause`, `errors`, and `chainedError` of older libraries), the outermost first. Text is the message of one. */
export function errorsWithin(error: unknown): readonly Evidence[] {
  const found: Evidence[] = []
  const visit = (one: unknown, depth: number): void => {
    if (typeof one === 'string' && one !== '') found.push({ message: one })
    if (typeof one !== 'object' || one === null || depth > maxDepth || found.length >= maxErrors) return
    found.push(one)
    const { errors, chainedError, cause } = one as { readonly errors?: unknown; readonly chainedError?: unknown; readonly cause?: unknown }
    for (const inner of Array.isArray(errors) ? [...errors, chainedError, cause] : [chainedError, cause]) visit(inner, depth + 1)
  }
  visit(error, 0)
  return found
}

const classes = {
  authentication: AuthenticationError,
  authorization: AuthorizationError,
  unavailable: UnavailableError,
  configuration: ConfigurationError,
} as const satisfies Record<ErrorFamily, unknown>
