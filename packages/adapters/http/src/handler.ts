import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { AccessRequest, Anonymous, PeerChannel, Principal } from '@portcullis/core'
import type { Answer } from './reply.ts'

/** What a handler may want to know besides request and principal. */
export interface HandlerContext {
  /** Parameters of the matched path, decoded: `/orders/:id` gives `id`, a final `/*` gives `*`. */
  readonly parameters: Readonly<Record<string, string>>
  /** The matched path as it was registered: what the guard has judged. */
  readonly resource: string
  readonly channel: PeerChannel
  /** What the guard has judged. For protocols within HTTP whose requests name something smaller than a path (a field, a procedure). */
  readonly access: AccessRequest
}

/**
 * Answers a request that the guard has allowed. The principal is of the guard's type. Content is read before the answer
 * is given: over HTTP/2 that ends the request, and what has not been read fails.
 */
export type FetchHandler<P extends Principal | Anonymous = Principal | Anonymous> = (
  request: Request,
  principal: P,
  context: HandlerContext,
) => Answer | Promise<Answer>

/**
 * The same with the objects of Node, for what is written for them (Express, Yoga, `node:http`). Over HTTP/2 they are
 * those of Node's compatibility layer. The handler ends the answer itself; a rejected promise becomes a 500.
 */
export interface NodeHandler<P extends Principal | Anonymous = Principal | Anonymous> {
  // A method, so that a listener for HTTP/1.1 alone may be narrower about the two objects.
  requestListener(
    request: IncomingMessage & Partial<Http2ServerRequest>,
    response: ServerResponse & Partial<Http2ServerResponse>,
    principal: P,
    context: HandlerContext,
  ): void | Promise<void>
}

/** What a listener, service or resource is given to answer with. */
export type Handler<P extends Principal | Anonymous = Principal | Anonymous> = FetchHandler<P> | NodeHandler<P>
