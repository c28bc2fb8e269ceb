import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'

import type { Fetch } from '@portcullis/jwt'

import type { TestIssuer } from './issuer.ts'
import { serverName, testPki } from './pki.ts'

/** The keys of a test issuer at an https address on loopback. */
export interface JwksEndpoint {
  readonly jwksUri: string
  /** Trusts the endpoint's certificate: the option `fetch` beside `jwksUri`. */
  readonly fetch: Fetch
  /** How often the keys were asked for. */
  readonly requests: number
  /** From here on it answers 503, until it is `up()` again. */
  down(): void
  up(): void
  close(): Promise<void>
}

/** Publishes the keys of a test issuer, as they are at each request. */
export async function jwksEndpoint(issuer: TestIssuer): Promise<JwksEndpoint> {
  const pki = await testPki()
  let isUp = true
  let requests = 0
  const { pem } = pki.servers.sound
  const server = createServer({ key: pem, cert: pem }, (_request, response) => {
    requests++
    if (isUp) response.writeHead(200, { 'content-type': 'application/jwk-set+json' }).end(JSON.stringify(issuer.jwks))
    else response.writeHead(503).end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return {
    jwksUri: `https://${serverName}:${port}/jwks`,
    async fetch(url, { method, headers, signal }) {
      const sent = request(url, {
        method,
        headers,
        signal,
        ca: pki.authorities.sound,
        agent: false,
        lookup: (_host, _options, answer) => answer(null, [{ address: '127.0.0.1', family: 4 }]),
      }).end()
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      return {
        status: response.statusCode ?? 0,
        headers: { get: (name) => String(response.headers[name.toLowerCase()] ?? '') || null },
        body: Readable.toWeb(response) as ReadableStream<Uint8Array>,
      }
    },
    get requests() {
      return requests
    },
    down: () => void (isUp = false),
    up: () => void (isUp = true),
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}
