import type { Anonymous, Principal } from '@portcullis/core'
import { serve as serveHttp, type Listener, type ListenerOptions } from '@portcullis/http'
import { graphql, type GraphqlOptions } from './endpoint.ts'

type Party = Principal | Anonymous

/** What {@link serve} takes. */
export interface ServeOptions<P extends Party = Party>
  extends GraphqlOptions<P>, Pick<ListenerOptions<P>, 'tls' | 'port' | 'host' | 'origin' | 'carriers' | 'timeouts' | 'cors' | 'versions'> {
  /** Limits of the HTTP listener below: the length of a request, the number of connections. */
  readonly http?: ListenerOptions<P>['limits']
}

/** A port for GraphQL. */
export interface GraphqlListener extends AsyncDisposable {
  /** `https://host:port/graphql`. */
  readonly url: string
  readonly port: number
  readonly origin: string
  /** The listener below, for other protocols that begin as an upgrade. */
  readonly server: Listener
  /** Stops, as the HTTP listener does; subscriptions end at once. */
  close(options?: { readonly graceMs?: number }): Promise<void>
}

/**
 * Opens a port for GraphQL alone, over TLS, and resolves when it listens. All other paths are refused, after the guard has
 * judged. Throws what {@link graphql} and `serve` of `@portcullis/http` throw.
 */
export async function serve<P extends Party>(options: ServeOptions<P>): Promise<GraphqlListener> {
  const { tls, port, host, origin, carriers, timeouts, cors, versions, http, ...rest } = options
  const endpoint = graphql<P>(rest)
  const server = await serveHttp<P>({
    tls,
    port,
    guard: options.guard,
    services: [endpoint.service],
    ...(host !== undefined && { host }),
    ...(origin !== undefined && { origin }),
    ...(carriers !== undefined && { carriers }),
    ...(timeouts !== undefined && { timeouts }),
    ...(cors !== undefined && { cors }),
    ...(versions !== undefined && { versions }),
    ...(http !== undefined && { limits: http }),
  })
  if (options.sockets !== false) endpoint.attach(server)
  return {
    url: `${server.origin}${options.path ?? '/graphql'}`,
    port: server.port,
    origin: server.origin,
    server,
    close: (how) => server.close(how),
    [Symbol.asyncDispose]: () => server.close(),
  }
}
