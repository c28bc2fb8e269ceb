import { ConfigurationError, formatAuthorization, type Credential } from '@portcullis/core'
import type { TcpErrorCode } from './errors.ts'

/** The first line that presents a credential. Throws for a kind that has no form as text: a proof names an HTTP method and URI (RFC 9449 section 4.2). */
export function present(credential: Credential): string {
  const value = credential.kind === 'dpop' ? undefined : formatAuthorization(credential)
  if (value === undefined || /[\r\n]/.test(value))
    throw new ConfigurationError<TcpErrorCode>(
      'ERR_TCP_CREDENTIAL',
      `A credential of kind "${credential.kind}" has no form as a first line.`,
    )
  return `${value}\n`
}
