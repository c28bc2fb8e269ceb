import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Where a browser brings the answer of the authorization server. */
export interface LoopbackRedirect {
  readonly redirectUri: string
  /** The first answer that `accepts` takes; others are answered and forgotten. */
  next(accepts: (parameters: URLSearchParams) => boolean): Promise<URLSearchParams>
  close(): void
}

const path = '/callback'
const page = (text: string): string => `<!doctype html><meta charset="utf-8"><title>${text}</title><p>${text}`

/**
 * Listens on a loopback address for the one redirect of a log-in (RFC 8252 section 7.3). In the clear, since the
 * request never leaves the machine and the code in it is worth nothing without the verifier (RFC 7636).
 */
export async function loopbackRedirect(port: number): Promise<LoopbackRedirect> {
  let take: ((parameters: URLSearchParams) => boolean) | undefined
  const server: Server = createServer({ maxHeaderSize: 16_384 }, (request, response) => {
    const url = URL.canParse(request.url ?? '', 'http://127.0.0.1') ? new URL(request.url ?? '', 'http://127.0.0.1') : undefined
    const isTaken = request.method === 'GET' && url?.pathname === path && take?.(url.searchParams) === true
    response.writeHead(isTaken ? 200 : 400, {
      'content-type': 'text/html; charset=utf-8',
      // The address holds the code: it goes nowhere from here, and stays in no cache.
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
      'content-security-policy': "default-src 'none'",
      connection: 'close',
    })
    response.end(page(isTaken ? 'You can close this window now.' : 'This is not the answer that is waited for.'))
  })
  server.maxConnections = 16
  await once(server.listen(port, '127.0.0.1'), 'listening')
  server.unref()
  return {
    redirectUri: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}`,
    next: (accepts) =>
      new Promise((resolve) => {
        take = (parameters) => {
          const isAccepted = accepts(parameters)
          if (isAccepted) {
            take = undefined
            resolve(parameters)
          }
          return isAccepted
        }
      }),
    close: () => void server.close(),
  }
}
