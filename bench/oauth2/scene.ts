import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { secret, type AccessRequest, type Credential } from '@portcullis/core'
import { attach, secureServerOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'

/** An authorization server that answers at once, so that what is measured is ours. */
export interface Scene extends AsyncDisposable {
  readonly issuer: string
  readonly tls: DevelopmentTls
}

export async function scene(): Promise<Scene> {
  const tls = await developmentTls()
  const server = createServer(secureServerOptions(tls), (request, response) => {
    request.resume().on('end', () => {
      const exp = Math.floor(Date.now() / 1000) + 3_600
      const body =
        request.url === '/token'
          ? { access_token: 'token', token_type: request.headers['dpop'] === undefined ? 'bearer' : 'DPoP', expires_in: 3_600 }
          : { active: true, iss: issuer, aud: 'orders', sub: 'alice', scope: 'orders:read', exp }
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    })
  })
  attach(server, tls)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const issuer = `https://localhost:${(server.address() as AddressInfo).port}`
  return {
    issuer,
    tls,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

/** A request with this credential. */
export function requestWith(credential: Credential): AccessRequest {
  return {
    credentials: [credential],
    action: 'GET',
    resource: '/orders',
    attributes: {},
    channel: { from: 'peer', protocol: 'https', secure: true },
  }
}

/** A request with this token, its credential made anew. */
export function requestFor(token: string): AccessRequest {
  return requestWith({ kind: 'bearer', carrier: 'authorization', token: secret(token) })
}
