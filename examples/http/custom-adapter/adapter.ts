import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import type { TLSSocket } from 'node:tls'
import {
  formatChallenges,
  parseAuthorization,
  type AccessRequest,
  type Anonymous,
  type Guard,
  type Principal,
  type Reason,
  type Refusal,
} from '@portcullis/core'
import { attach, peerCertificateOf, secureServerOptions, type ServerTlsBundle } from '@portcullis/tls'

/** A server of Node's own, whose every request goes through the guard. */
export function guarded<P extends Principal | Anonymous>(
  tls: ServerTlsBundle,
  guard: Guard<P>,
  handler: (request: IncomingMessage, response: ServerResponse, principal: P) => void,
): Server {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const decision = await guard.decide(describe(request, tls))
    if (decision.outcome === 'allow') handler(request, response, decision.principal)
    else refuse(response, decision)
  }
  const server = createServer(secureServerOptions(tls, { alpn: ['http/1.1'] }), (request, response) => {
    // What fails is closed, never let through.
    answer(request, response).catch(() => request.destroy())
  })
  attach(server, tls)
  return server
}

/** The request in no protocol's words: facts of the connection, and all that was presented, unjudged. */
function describe(request: IncomingMessage, tls: ServerTlsBundle): AccessRequest {
  const socket = request.socket as TLSSocket
  const certificate = peerCertificateOf(socket, tls)
  return {
    credentials: (request.headersDistinct.authorization ?? []).map((text) => parseAuthorization(text)),
    action: request.method ?? '',
    resource: '/',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true, ...(certificate && { certificate }) },
  }
}

const statuses: Readonly<Record<Reason, number>> = {
  missing: 401,
  malformed: 400,
  invalid: 401,
  stepUp: 401,
  insufficientScope: 403,
  forbidden: 403,
  outage: 503,
  overload: 429,
  internal: 500,
}

/** A refusal in the protocol's words. The peer learns what to do next, and nothing of what was found. */
function refuse(response: ServerResponse, { outcome, reason, offers, advice }: Refusal): void {
  if (outcome === 'challenge') response.setHeader('www-authenticate', formatChallenges(offers, reason, advice))
  response.writeHead(statuses[reason]).end()
}
