/** A server of its own process that holds connections and tells what they cost in memory. */
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

import { WebSocketServer } from 'ws'
import { authenticator, credentialOf, guard, notMine, Revocation, scope, vouchForPrincipal, type Principal } from '@portcullis/core'
import { serve, type Guard } from '@portcullis/websocket'
import { plaintextChannel } from '@portcullis/websocket/danger'

/** What is held. */
export type Held = 'ws' | 'ws and principals' | 'serve'
/** Opens a listener, or tells the bytes of the heap in use. */
export type HolderMessage = { readonly type: 'listen'; readonly held: Held } | { readonly type: 'heap' }

process.on('message', (message: HolderMessage) => {
  const work = message.type === 'listen' ? listen(message.held) : heap()
  work.then(
    (answer) => process.send?.(answer),
    (error: unknown) => process.send?.({ error: String(error) }),
  )
})

/** Each token is a user of its own, with the claims of an access token: as many principals as connections. */
function vouch(token: string): Principal {
  return vouchForPrincipal({
    issuer: 'https://issuer.localhost',
    subject: token,
    scopes: ['orders:read', 'profile'],
    claims: { iss: 'https://issuer.localhost', sub: token, aud: 'orders', scope: 'orders:read profile', iat: 1, exp: 2, jti: token },
    expiresAt: new Date(Date.now() + 3_600_000),
    revocations: [new Revocation()],
  })
}

async function listen(held: Held): Promise<{ readonly port: number }> {
  if (held !== 'serve') {
    const server = createServer()
    const kept: Principal[] = []
    new WebSocketServer({ server, path: '/feed' }).on('connection', (_socket, { headers }) => {
      if (held === 'ws and principals') kept.push(vouch(String(headers.authorization).slice('Bearer '.length)))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return { port: (server.address() as AddressInfo).port }
  }
  const tokens = authenticator('tokens', ({ credentials }) => {
    const bearer = credentialOf(credentials, 'bearer')
    return bearer === undefined ? notMine : vouch(bearer.token.reveal())
  })
  const policy: Guard<Principal> = guard<Principal>({ authenticate: tokens, authorize: scope('orders:read') })
  const listener = await serve(
    { tls: plaintextChannel, guard: policy, port: 0, path: '/feed', http: { maxConnections: 100_000 } },
    () => undefined,
  )
  return { port: listener.port }
}

async function heap(): Promise<{ readonly bytes: number }> {
  for (let round = 0; round < 4; round++) {
    await new Promise((resolve) => setTimeout(resolve, 250))
    globalThis.gc?.()
  }
  const { heapUsed, external } = process.memoryUsage()
  return { bytes: heapUsed + external }
}
