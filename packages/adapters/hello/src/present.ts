import {
  AuthenticationError,
  ConfigurationError,
  formatAuthorization,
  otherCredential,
  type Credential,
  type CredentialSource,
  type Target,
} from '@portcullis/core'

import type { HelloErrorCode } from './errors.ts'
import type { RefusalWord } from './refuse.ts'

/** What a listener answered: its text, or the word of its refusal. */
export type Answer = { readonly text: string; readonly refused?: never } | { readonly refused: RefusalWord; readonly challenges: string }

/** The line that presents a credential. Throws for a kind that this protocol has no form for. */
export function present(credential: Credential): string {
  const value = credential.kind === 'dpop' ? undefined : formatAuthorization(credential)
  if (value === undefined)
    throw new ConfigurationError<HelloErrorCode>(
      'ERR_HELLO_CREDENTIAL',
      `A credential of kind "${credential.kind}" has no form in this protocol.`,
    )
  return `AUTH ${value}`
}

/**
 * Presents what the source yields. If that very credential is refused, the source is told and asked once more; the same
 * one is never sent twice.
 */
export async function heed(exchange: (line: string) => Promise<Answer>, source: CredentialSource, target: Target): Promise<Answer> {
  const first = await source({ target })
  const answer = await exchange(present(first.credential))
  // Any other refusal says that something else is wrong, and a new credential would not help.
  if (answer.refused !== 'credential-refused') return answer
  const second = await otherCredential(
    (request) => source({ ...request, target }),
    first.credential,
    (cause) =>
      new AuthenticationError<HelloErrorCode>('ERR_HELLO_REFUSED', {
        message: 'The listener refused the credential, and the source has no other.',
        cause,
      }),
  )
  return exchange(present(second.credential))
}
