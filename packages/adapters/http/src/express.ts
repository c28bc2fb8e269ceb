/**
 * The guard as Express middleware. Use it in an existing Express application; a service that begins today is shorter
 * with `serve` of `@portcullis/http`, which also has the limits and time-outs.
 */
import { runAs, type Anonymous, type Guard, type Principal } from '@portcullis/core'
import type { Request, RequestHandler, Response } from 'express'
import { fromNode, Protection, type Judged, type ProtectOptions } from './protection.ts'

export { principalOf } from '@portcullis/core'
export type { ProtectOptions } from './protection.ts'

/**
 * Lets through what the guard allows and answers the rest. Handlers behind it ask `principalOf(guard, request)`.
 *
 * Put it on the route (`app.get('/orders/:id', protect(orders), …)`) and the guard judges that route and its parameters;
 * put it on the application or a router (`app.use('/api', protect(orders))`) and it judges `/api/*`, whatever is
 * registered below. Method overrides are refused, and so are paths that can be read in two ways.
 */
export function protect<P extends Principal | Anonymous>(guard: Guard<P>, options?: ProtectOptions): RequestHandler {
  const protection = new Protection(guard, options)
  return (request, response, next) => {
    const settle = (judged: Judged<P>): void => {
      if ('answer' in judged) return answer(response, judged.answer)
      guard.remember(request, judged.principal)
      for (let at = 0; at < judged.headers.length; at += 2) response.append(judged.headers[at] ?? '', judged.headers[at + 1] ?? '')
      runAs(judged.principal, next)
    }
    const judged = protection.judge({ method: request.method, ...fromNode(request, request.originalUrl), ...matched(request) })
    if (judged instanceof Promise) judged.then(settle).catch(next)
    else settle(judged)
  }
}

function matched(request: Request): { readonly resource: string; readonly attributes: Readonly<Record<string, unknown>> } {
  const route = request.route as { readonly path?: unknown } | undefined
  return { resource: `${request.baseUrl}${route === undefined ? '/*' : String(route.path)}`, attributes: request.params }
}

function answer(
  response: Response,
  { status, headers, content }: { readonly status: number; readonly headers: readonly string[]; readonly content: string },
): void {
  response.status(status)
  for (let at = 0; at < headers.length; at += 2) response.append(headers[at] ?? '', headers[at + 1] ?? '')
  response.end(content)
}
