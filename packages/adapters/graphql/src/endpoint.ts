import {
  anonymous,
  checkOptions,
  ConfigurationError,
  everyone,
  guard as makeGuard,
  requireGuard,
  requireText,
  type Anonymous,
  type Guard,
  type Principal,
  type Refusal,
} from '@portcullis/core'
import { refusalAnswer, resource, service, type HandlerContext, type Listener, type Reply, type Service } from '@portcullis/http'
import { GraphQLError, type GraphQLSchema } from 'graphql'
import { createYoga, type YogaServerInstance, type YogaServerOptions } from 'graphql-yoga'
import { admission, type Admission } from './admission.ts'
import type { GraphqlErrorCode } from './errors.ts'
import { Plugin, type RulesOptions } from './plugin.ts'
import { refusalResult } from './refuse.ts'
import { SocketTransport, type SocketOptions } from './socket-transport.ts'

type Party = Principal | Anonymous
/** A context of graphql-yoga's, before the operation's own part. */
type Context = Record<string, unknown>

/** Options of graphql-yoga that are its user's to choose; the others are part of what makes an endpoint safe. */
export type YogaOptions = Pick<
  YogaServerOptions<Context, Context>,
  'context' | 'plugins' | 'graphiql' | 'batching' | 'parserAndValidationCache' | 'extraParamNames'
>

/** What {@link graphql} takes. */
export interface GraphqlOptions<P extends Party = Party> extends RulesOptions {
  /** Judges every request, every WebSocket, and every renewal. */
  readonly guard: Guard<P>
  /** The schema and the rest of graphql-yoga. `graphiql` is off unless it is named, and covered by the guard where it is on. */
  readonly yoga: YogaOptions & { readonly schema: GraphQLSchema }
  /** The exact path. Default: `/graphql`. */
  readonly path?: string
  /** Subscriptions over WebSocket; `false` leaves SSE alone. */
  readonly sockets?: SocketOptions | false
}

/** GraphQL at one path of a listener. */
export interface GraphqlEndpoint {
  /** For `services` of a listener of `@portcullis/http`. */
  readonly service: Service
  /** Takes WebSockets at the same path of that listener; returns how to stop. */
  attach(server: Listener): () => void
}

/**
 * GraphQL under a guard, over HTTP (queries, mutations, GraphiQL, subscriptions as server-sent events) and WebSocket
 * (`graphql-transport-ws`). A request that is refused gets its status and challenge, and `errors[].extensions.code`; a
 * field that is refused is null, with such an error. Mutations come by POST, and a POST has `application/json`: what a
 * foreign page can send without asking (RFC 9110 section 9.2.1, Fetch standard) has no effect.
 *
 * Throws a `ConfigurationError` for a missing guard or schema, unknown options, and rules that would check nothing.
 * Not checked: what a resolver does; put rules on fields.
 */
export function graphql<P extends Party>(options: GraphqlOptions<P>): GraphqlEndpoint {
  checkOptions<GraphqlOptions<P>>('graphql', options, {
    guard: true,
    yoga: true,
    path: true,
    sockets: true,
    policies: true,
    limits: true,
    introspection: true,
  })
  // Guard and resolvers agree on P through principalOf; below this line nobody asks.
  const guard = requireGuard('graphql', options.guard) as Guard
  const path = requireText('graphql path', options.path ?? '/graphql')
  const { policies, limits, introspection, sockets = {} } = options
  const plugin = new Plugin({
    guard,
    ...(policies !== undefined && { policies }),
    ...(limits !== undefined && { limits }),
    ...(introspection !== undefined && { introspection }),
  })
  const yoga = yogaOf(guard, path, plugin, options.yoga)
  const handler = new Handler(guard, plugin, yoga)
  const transport =
    sockets === false ? undefined : new SocketTransport({ guard, path, standing: plugin.standing, enveloped: yoga.getEnveloped }, sockets)
  return {
    service: service({
      path,
      guard,
      resources: [
        resource({
          method: '*',
          path: '/',
          // Judged within, where a refusal can be said in GraphQL's words and what is open to everyone be told apart.
          guard: withinGuard,
          handler: (request, _principal, context) => handler.answer(request, context),
        }),
      ],
    }),
    attach(server) {
      if (transport === undefined)
        throw new ConfigurationError('ERR_OPTION_INVALID', 'graphql: `sockets` is false, so there is nothing to attach.')
      return transport.attach(server)
    },
  }
}

const withinGuard = makeGuard({ authenticate: everyone(), name: 'judged within' })

function yogaOf(guard: Guard, path: string, plugin: Plugin, options: GraphqlOptions['yoga']): YogaServerInstance<Context, Context> {
  checkOptions<GraphqlOptions['yoga']>('graphql yoga', options, {
    schema: true,
    context: true,
    plugins: true,
    graphiql: true,
    batching: true,
    parserAndValidationCache: true,
    extraParamNames: true,
  })
  if (options.schema === undefined) throw new ConfigurationError('ERR_OPTION_MISSING', 'graphql needs `yoga.schema`.')
  const silent = (): undefined => undefined
  const told = new WeakSet<object>()
  return createYoga<Context, Context>({
    graphiql: false,
    ...options,
    plugins: [...(options.plugins ?? []), plugin], // Its hooks are those of Envelop, written without its types.
    graphqlEndpoint: path,
    landingPage: false,
    cors: false,
    multipart: false,
    // The listener bounds content before it gets here.
    maxRequestBodySize: false,
    // Those of its own do not give what is there while the next is awaited.
    fetchAPI: { Response, ReadableStream, TextEncoder },
    // Without this, NODE_ENV=development would send stack traces.
    maskedErrors: { isDev: false },
    logging: {
      debug: silent,
      info: silent,
      warn: silent,
      error: (cause: unknown) => {
        // One fault comes by as itself and within the error that names its field.
        const fault = cause instanceof GraphQLError ? (cause.originalError ?? cause) : cause
        if (typeof fault === 'object' && fault !== null) {
          if (told.has(fault)) return
          told.add(fault)
        }
        guard.report({ type: 'warning', protocol: 'graphql', code: 'ERR_GRAPHQL_RESOLVER_FAILED' satisfies GraphqlErrorCode, cause: fault })
      },
    },
  })
}

/** Answers requests: judges, lets yoga execute, and says refusals in GraphQL's words. */
class Handler {
  readonly #guard: Guard
  readonly #plugin: Plugin
  readonly #yoga: YogaServerInstance<Context, Context>

  constructor(guard: Guard, plugin: Plugin, yoga: YogaServerInstance<Context, Context>) {
    this.#guard = guard
    this.#plugin = plugin
    this.#yoga = yoga
  }

  async answer(request: Request, { access }: HandlerContext): Promise<Reply> {
    const decided = this.#guard.decide(access)
    const decision = decided instanceof Promise ? await decided : decided
    const refusal = decision.outcome === 'allow' ? undefined : decision
    const isPost = request.method === 'POST'
    // A page is for those who are let in, and so is everything that is no operation.
    if (refusal !== undefined && !(isPost && this.#plugin.opensToEveryone)) return refused(refusal, request)
    if (isPost && !isJson(request)) return unsupported
    const { guard, standing } = this.#plugin
    const { principal } = decision.outcome === 'allow' ? decision : { principal: anonymous }
    const admitted: Admission = { guard, standing, access, principal: () => principal, ...(refusal !== undefined && { refusal }) }
    const response = await this.#yoga.fetch(request, { [admission]: admitted } as Context)
    if (refusal !== undefined && admitted.opened !== true) return refused(refusal, request)
    return replyOf(response, decision.outcome === 'allow' ? decision.advice?.nonce : undefined)
  }
}

function isJson(request: Request): boolean {
  const type = request.headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase()
  return type === 'application/json'
}

const unsupported: Reply = Object.freeze({
  status: 415,
  headers: { 'content-type': 'application/json; charset=utf-8', 'accept-post': 'application/json' },
  body: JSON.stringify({ errors: [{ message: 'A POST has the content type application/json.', extensions: { code: 'BAD_REQUEST' } }] }),
})

function refused(refusal: Refusal, request: Request): Reply {
  const { status, headers } = refusalAnswer(refusal)
  const fields: Record<string, string | string[]> = {}
  for (let at = 0; at < headers.length; at += 2) {
    const [name = '', value = ''] = [headers[at], headers[at + 1]]
    const before = fields[name]
    fields[name] = before === undefined ? value : [...(Array.isArray(before) ? before : [before]), value]
  }
  // Not a result of an execution, but what clients of either media type read (GraphQL over HTTP, section 6.4).
  const modern = request.headers.get('accept')?.includes('application/graphql-response+json') === true
  return {
    status,
    headers: { ...fields, 'content-type': `${modern ? 'application/graphql-response+json' : 'application/json'}; charset=utf-8` },
    body: refusalResult(refusal),
  }
}

async function replyOf(response: Response, nonce: string | undefined): Promise<Reply> {
  const headers: Record<string, string> = {}
  response.headers.forEach((value, name) => {
    // RFC 9113 section 8.2.2: HTTP/2 has no such field.
    if (name !== 'connection' && name !== 'content-length') headers[name] = value
  })
  // Several fields, and not one.
  const cookies = response.headers.getSetCookie()
  if (nonce !== undefined) headers['dpop-nonce'] = nonce
  const { status, body } = response
  const streams =
    headers['content-type']?.startsWith('text/event-stream') === true || headers['content-type']?.startsWith('multipart/') === true
  const fields = cookies.length === 0 ? headers : { ...headers, 'set-cookie': cookies }
  if (body === null) return { status, headers: fields }
  return { status, headers: fields, body: streams ? (body as never) : await response.text() }
}
