import {
  checkOptions,
  ConfigurationError,
  requireFunction,
  requireGuard,
  requireNumber,
  type Authorizer,
  type Guard,
} from '@portcullis/core'
import type { GraphqlErrorCode } from './errors.ts'

type List<T> = readonly [T, ...T[]]

/** Alternatives of which one must hold; all names of an alternative must. `[['a', 'b'], ['c']]` is "a and b, or c". */
export type Alternatives = List<List<string>>

/** Who may see a field, or what is of a type. What is named here must hold together. */
export interface FieldAccess {
  /** Whoever is proven: the same as the directive `@authenticated`. */
  readonly authenticated?: true
  /** As `@requiresScopes`. */
  readonly scopes?: Alternatives
  /** As `@policy`: names out of the plugin's `policies`. */
  readonly policies?: Alternatives
  /** A rule of its own. It gets the field's arguments as `attributes`. */
  readonly authorize?: Authorizer
  /** The `authorize` of a guard; when that guard changes, open subscriptions to the field are judged again. */
  readonly guard?: Guard
  /** As `@everyone`: a root field that asks for nothing. Stands alone. */
  readonly everyone?: true
  /** What the field adds to the complexity of an operation. Default: 1. */
  readonly complexity?: number
}

/** The extension of a field or type in a code-first schema. Not an interface: extensions have an index signature. */
export type AccessExtension = { readonly portcullis: FieldAccess }

/**
 * Says in a code-first schema who may see a field or a type: `extensions: access({ scopes: [['orders:read']] })`.
 * Throws a `ConfigurationError` for unknown keys and empty lists.
 */
export function access(rule: FieldAccess): AccessExtension {
  return Object.freeze({ portcullis: Object.freeze(checkedAccess('access', rule)) })
}

/** Refuses what would check nothing; for extensions that were written without {@link access} too. */
export function checkedAccess(where: string, rule: FieldAccess): FieldAccess {
  checkOptions<FieldAccess>(where, rule, {
    authenticated: true,
    scopes: true,
    policies: true,
    authorize: true,
    guard: true,
    everyone: true,
    complexity: true,
  })
  for (const key of ['authenticated', 'everyone'] as const)
    if (Object.hasOwn(rule, key) && rule[key] !== true) throw invalid(`${where}: \`${key}\` is true or absent.`)
  if (Object.hasOwn(rule, 'scopes')) checkedAlternatives(`${where} scopes`, rule.scopes)
  if (Object.hasOwn(rule, 'policies')) checkedAlternatives(`${where} policies`, rule.policies)
  if (Object.hasOwn(rule, 'authorize')) requireFunction(`${where} authorize`, rule.authorize)
  if (Object.hasOwn(rule, 'guard')) requireGuard(`${where} guard`, rule.guard)
  if (Object.hasOwn(rule, 'complexity')) requireNumber(`${where} complexity`, rule.complexity, { min: 0, max: 1_000_000 })
  return rule
}

/** Refuses an empty list at either level: an alternative without names would let everybody in. */
export function checkedAlternatives(where: string, value: unknown): Alternatives {
  const sound =
    Array.isArray(value) &&
    value.length > 0 &&
    value.every((names) => Array.isArray(names) && names.length > 0 && names.every((name) => typeof name === 'string' && name !== ''))
  if (!sound) throw invalid(`${where} must be a list of lists of names, none of them empty.`)
  return value as unknown as Alternatives // every element was checked just above
}

/** An error about a rule of the schema. */
export function invalid(message: string): ConfigurationError<GraphqlErrorCode> {
  return new ConfigurationError<GraphqlErrorCode>('ERR_GRAPHQL_RULE_INVALID', message)
}
