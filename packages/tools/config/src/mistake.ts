import { ConfigurationError, isSecurityError, type CoreErrorCode } from '@portcullis/core'
import type { ConfigErrorCode } from './errors.ts'

/** An error about one place of the data, or about the whole, whose path is empty. The message never holds a value, which may be a secret. */
export function mistake(code: ConfigErrorCode | CoreErrorCode, where: string, what: string): ConfigurationError {
  return new ConfigurationError(code, `${where === '' ? 'The data' : where} ${what}`)
}

/** Runs what a user could have called by hand, and puts the place of the data in front of what it finds wrong. */
export async function placed<T>(where: string, work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw placedError(where, cause)
  }
}

/** The same at once. */
export function placedNow<T>(where: string, work: () => T): T {
  try {
    return work()
  } catch (cause) {
    throw placedError(where, cause)
  }
}

function placedError(where: string, cause: unknown): unknown {
  if (!isSecurityError(cause) || cause.family !== 'configuration' || cause.message.startsWith(where)) return cause
  return new ConfigurationError(cause.code, { message: `${where}: ${cause.message}`, cause })
}
