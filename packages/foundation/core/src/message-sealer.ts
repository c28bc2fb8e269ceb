import type { RequestBinding } from './access-request.ts'
import type { Credential } from './credential.ts'
import { ConfigurationError, type SecurityError } from './errors.ts'
import { messageCallerHeader, messageIdentityHeader } from './message-binding.ts'
import type { Principal } from './principal.ts'
import type { BoundSource, DelegatedSource, Target } from './source.ts'

/** A header of a message, as text. */
export type MessageHeader = readonly [name: string, text: string]

/** What a {@link messageSealer} is made of. */
export interface MessageSealerOptions {
  /** What sends, for the log. */
  readonly where: string
  readonly target: Target
  /** Signs each message; `undefined` only for what the adapter's `/danger` let go unsigned. */
  readonly sign: BoundSource | undefined
  /** Yields the token of the user for whom a message is sent. */
  readonly caller: DelegatedSource | undefined
  /** The adapter's error for a credential that has no form in a message. */
  readonly withoutForm: (message: string) => SecurityError
}

/**
 * The reverse of {@link messageCredentials}: makes the headers by which a message says who sent it and for whom. The same
 * for every broker.
 *
 * `bindingOf` is told the caller's header, which is signed along with the message's own. Rejects with
 * `ERR_CALLER_MISSING` where a message is sent on behalf of somebody and there is no `caller`.
 */
export function messageSealer(
  options: MessageSealerOptions,
): (
  onBehalfOf: Principal | undefined,
  bindingOf: (caller: readonly MessageHeader[]) => RequestBinding,
) => Promise<readonly MessageHeader[]> {
  const { where, target, sign, caller, withoutForm } = options
  const textOf = (credential: Credential): string => {
    if (credential.kind === 'envelope') return credential.envelope
    if (credential.kind === 'bearer') return credential.token.reveal()
    throw withoutForm(`A credential of kind "${credential.kind}" has no form in a message.`)
  }
  return async (onBehalfOf, bindingOf) => {
    const headers: MessageHeader[] = []
    if (onBehalfOf !== undefined) {
      if (caller === undefined)
        throw new ConfigurationError(
          'ERR_CALLER_MISSING',
          `${where}: a message is sent on behalf of somebody, and there is no \`caller\` to get a token from.`,
        )
      headers.push([messageCallerHeader, textOf((await caller({ target, onBehalfOf })).credential)])
    }
    if (sign !== undefined) {
      const { credential } = await sign({ target, binding: bindingOf([...headers]) })
      headers.push([messageIdentityHeader, textOf(credential)])
    }
    return headers
  }
}
