import { checkOptions, ConfigurationError, requireFunction, type Anonymous, type PeerChannel, type Principal } from '@portcullis/core'
import type { HandlerContext } from './handler.ts'
import type { Answer } from './reply.ts'

/** Runs before the guard, for every request that is well-formed. An answer ends the request there: what it sends, it sends to everybody. */
export type BeforeHook = (request: Request, channel: PeerChannel) => Answer | undefined | Promise<Answer | undefined>
/** Runs after the guard has allowed and before the handler. An answer takes the handler's place. */
export type AfterHook = (
  request: Request,
  principal: Principal | Anonymous,
  context: HandlerContext,
) => Answer | undefined | Promise<Answer | undefined>

/** Functions around the guard, each in the order of its list. */
export interface Hooks {
  readonly before?: readonly BeforeHook[]
  readonly after?: readonly AfterHook[]
}

/** Checks hooks and fills in what is absent. */
export function resolveHooks(hooks: Hooks = {}): Required<Hooks> {
  checkOptions<Hooks>('hooks', hooks, { before: true, after: true })
  const { before = [], after = [] } = hooks
  for (const list of [before, after])
    if (!Array.isArray(list)) throw new ConfigurationError('ERR_OPTION_INVALID', 'hooks take lists of functions.')
  for (const hook of [...before, ...after]) requireFunction('hooks', hook as (...args: never[]) => unknown)
  return { before: [...before], after: [...after] }
}

/** Runs hooks one after another until one answers. */
export async function firstAnswer<H extends (...args: never[]) => Answer | undefined | Promise<Answer | undefined>>(
  hooks: readonly H[],
  ...args: Parameters<H>
): Promise<Answer | undefined> {
  for (const hook of hooks) {
    const answer = await hook(...args)
    if (answer !== undefined) return answer
  }
  return undefined
}
