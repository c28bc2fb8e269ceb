import type { Credential } from './credential.ts'
import { isExhausted, sameCredential } from './credential-sources.ts'
import type { SourceRequest, Supplied } from './source.ts'

type Ask = (request: Pick<SourceRequest, 'refused'>) => Supplied | Promise<Supplied>

/**
 * Asks a source for another credential than the one that a peer has refused, so that none is presented twice; where none
 * was refused yet, for any. If it has none (it yields the same again, or says so with `ERR_SOURCE_EXHAUSTED`, which is
 * the cause) the result is `undefined`, or the error that `none` makes is thrown. Everything else that `ask` throws passes
 * through: an outage of the source is not the end of it.
 */
export async function otherCredential(ask: Ask, refused: Credential | undefined): Promise<Supplied | undefined>
export async function otherCredential(ask: Ask, refused: Credential | undefined, none: (cause: unknown) => Error): Promise<Supplied>
export async function otherCredential(
  ask: Ask,
  refused: Credential | undefined,
  none?: (cause: unknown) => Error,
): Promise<Supplied | undefined> {
  let cause: unknown
  try {
    const supplied = await ask(refused === undefined ? {} : { refused })
    if (refused === undefined || !sameCredential(supplied.credential, refused)) return supplied
  } catch (error) {
    if (!isExhausted(error)) throw error
    cause = error
  }
  if (none !== undefined) throw none(cause)
  return undefined
}
