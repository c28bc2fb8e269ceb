import { ConfigurationError, isSecurityError } from '@portcullis/core'
import { refuse, type JwtRefused } from './errors.ts'

/**
 * The common interface of schema libraries (standardschema.dev, version 1), as far as it is used here: what `validate`
 * returns has `issues`, or a `value` of the output type.
 */
export interface StandardSchema<Output> {
  readonly '~standard': {
    readonly version: 1
    readonly vendor: string
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>
    readonly types?: { readonly input: unknown; readonly output: Output } | undefined
  }
}

type SchemaResult<Output> = { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly unknown[] }

/** Refuses what is no schema; returns it. */
export function requireSchema<C>(schema: StandardSchema<C>): StandardSchema<C> {
  const standard: unknown = (schema as Partial<StandardSchema<C>> | null)?.['~standard']
  if (typeof standard !== 'object' || standard === null || typeof (standard as { readonly validate?: unknown }).validate !== 'function') {
    throw new ConfigurationError('ERR_OPTION_INVALID', 'schema must be a Standard Schema (standardschema.dev).')
  }
  return schema
}

/** The claims as the schema gives them, or a refusal. A schema that throws refuses. */
export function applySchema<C extends object>(schema: StandardSchema<C>, claims: unknown): C | JwtRefused | Promise<C | JwtRefused> {
  try {
    const result = schema['~standard'].validate(claims)
    return result instanceof Promise ? result.then(outcome<C>, rejected) : outcome(result)
  } catch (error) {
    return rejected(error)
  }
}

function outcome<C extends object>(result: SchemaResult<C>): C | JwtRefused {
  if (result.issues !== undefined) return refuse('ERR_JWT_CLAIMS_REJECTED', result.issues)
  return typeof result.value === 'object' && result.value !== null ? result.value : refuse('ERR_JWT_CLAIMS_REJECTED')
}

function rejected(error: unknown): JwtRefused {
  if (isSecurityError(error)) throw error
  return refuse('ERR_JWT_CLAIMS_REJECTED', error)
}
