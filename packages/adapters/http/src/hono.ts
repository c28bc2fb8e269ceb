/**
 * The guard as Hono middleware, on Node. Use it in an existing Hono application, on `@hono/node-server` or behind
 * `serve` of `@portcullis/http`.
 */
import type { IncomingMessage } from 'node:http'
import { runAs, type Anonymous, type Guard, type PeerChannel, type Principal } from '@portcullis/core'
import type { Context, MiddlewareHandler } from 'hono'
import { matchedRoutes } from 'hono/route'
import { Protection, type ProtectOptions } from './protection.ts'

export { principalOf } from '@portcullis/core'
export type { ProtectOptions } from './protection.ts'

/** What the environment of a request must have: Node's request, as `@hono/node-server` gives it, or the channel of our own listener. */
export interface ProtectedBindings {
  readonly incoming?: IncomingMessage
  readonly channel?: PeerChannel
}

/**
 * Lets through what the guard allows and answers the rest. It judges the last route that matched, which is the
 * handler's. Handlers behind it ask `principalOf(guard, c.req.raw)`.
 *
 * The channel comes from `@hono/node-server`; behind `serve` pass it on: `app.fetch(request, { channel: context.channel })`.
 * Where it is in neither place, every request is refused.
 */
export function protect<P extends Principal | Anonymous>(guard: Guard<P>, options?: ProtectOptions): MiddlewareHandler {
  const protection = new Protection(guard, options)
  return async (c, next) => {
    const { incoming, channel } = (c.env ?? {}) as ProtectedBindings
    const judged = await protection.judge({
      method: c.req.method,
      target: incoming?.url ?? targetOf(c.req.raw.url),
      rawHeaders: incoming?.rawHeaders ?? [...c.req.raw.headers].flat(),
      ...(incoming !== undefined && { headers: incoming.headers }),
      socket: incoming?.socket,
      ...(channel !== undefined && { channel }),
      resource: matchedRoutes(c).at(-1)?.path ?? '(unmatched)',
      attributes: c.req.param(),
    })
    if ('answer' in judged) {
      const { status, headers, content } = judged.answer
      return new Response(content, { status, headers: pairs(headers) })
    }
    guard.remember(c.req.raw, judged.principal)
    await runAs(judged.principal, next)
    for (const [name, value] of pairs(judged.headers)) (c as Context).header(name, value, { append: true })
    return undefined
  }
}

function targetOf(url: string): string {
  const start = url.indexOf('/', url.indexOf('//') + 2)
  return start === -1 ? '/' : url.slice(start)
}

function pairs(headers: readonly string[]): [string, string][] {
  const list: [string, string][] = []
  for (let at = 0; at < headers.length; at += 2) list.push([headers[at] ?? '', headers[at + 1] ?? ''])
  return list
}
