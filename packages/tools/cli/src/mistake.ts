import { ConfigurationError } from '@portcullis/core'
import type { CliErrorCode } from './errors.ts'

/** A wrong command line. Its message never holds a value, which may be a secret. */
export function usageError(message: string): ConfigurationError<CliErrorCode> {
  return new ConfigurationError('ERR_CLI_USAGE', message)
}

/** A file that is of no use. */
export function fileError(path: string, what: string): ConfigurationError<CliErrorCode> {
  return new ConfigurationError('ERR_CLI_FILE', `${path} ${what}.`)
}
