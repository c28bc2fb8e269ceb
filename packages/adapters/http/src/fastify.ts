/**
 * The guard as Fastify hook. Use it in an existing Fastify application; a service that begins today is shorter with
 * `serve` of `@portcullis/http`.
 */
import { runAs, type Anonymous, type Guard, type Principal } from '@portcullis/core'
import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction } from 'fastify'
import { fromNode, Protection, type Judged, type ProtectOptions } from './protection.ts'

export { principalOf } from '@portcullis/core'
export type { ProtectOptions } from './protection.ts'

/**
 * An `onRequest` hook that lets through what the guard allows and answers the rest: for a route
 * (`{ onRequest: protect(orders) }`) or a scope (`app.addHook('onRequest', protect(orders))`). It judges the route that
 * Fastify has matched, before any content is read. Handlers behind it ask `principalOf(guard, request)`.
 *
 * A hook of the outermost instance also judges what no route matches.
 */
export function protect<P extends Principal | Anonymous>(
  guard: Guard<P>,
  options?: ProtectOptions,
): (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => void {
  const protection = new Protection(guard, options)
  return (request, reply, done) => {
    const settle = (judged: Judged<P>): void => {
      if ('answer' in judged) {
        const { status, headers, content } = judged.answer
        append(reply, headers)
        reply.code(status).send(content)
        return
      }
      guard.remember(request, judged.principal)
      append(reply, judged.headers)
      runAs(judged.principal, done)
    }
    const { method, originalUrl, params } = request
    const judged = protection.judge({
      method,
      ...fromNode(request.raw, originalUrl),
      resource: request.routeOptions.url ?? '(unmatched)',
      attributes: params as Readonly<Record<string, unknown>>,
    })
    if (judged instanceof Promise) judged.then(settle).catch((error: unknown) => done(error as Error))
    else settle(judged)
  }
}

function append(reply: FastifyReply, headers: readonly string[]): void {
  // Fastify joins nothing: a field that comes twice is given as a list.
  const fields = new Map<string, string[]>()
  for (let at = 0; at < headers.length; at += 2)
    fields.set(headers[at] ?? '', [...(fields.get(headers[at] ?? '') ?? []), headers[at + 1] ?? ''])
  for (const [name, values] of fields) reply.header(name, values.length === 1 ? values[0] : values)
}
