import type { Server } from 'node:https'
import type { AddressInfo, Server as NetServer } from 'node:net'

import { everyone, guard, json, scope, serve, service, type Guard, type Listener, type Principal } from '@portcullis/http'
import { jwt } from '@portcullis/jwt'

import type { Contender } from './measure.ts'
import { answerFields, body, type Scene } from './scene.ts'

type Plain = { writeHead(status: number, fields: string[]): unknown; end(text: string): unknown }
/** Answers with Node's own means. */
export const answer = (response: Plain): void => {
  response.writeHead(200, answerFields as string[])
  response.end(body)
}

// A connection waits for its turn longer than a server would let it.
const patience = { idleMs: 3_600_000 }

/** A server of Node's, without anything of ours. */
export async function bare(name: string, version: Contender['version'], server: NetServer): Promise<Contender> {
  Object.assign(server, { keepAliveTimeout: patience.idleMs })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    name,
    version,
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.close()
      // Servers of `node:http2` have it not; the process ends all the same.
      ;(server as Partial<Server>).closeAllConnections?.()
    },
  }
}

function ours(name: string, version: Contender['version'], listener: Listener): Contender {
  return { name, version, port: listener.port, close: () => listener.close({ graceMs: 0 }) }
}

function guarding({ publicKey, issuer, audience }: Scene, audited: boolean): Guard<Principal> {
  let seen = 0
  const audit = { audit: () => void seen++ }
  return guard({
    authenticate: jwt({ issuer, audience, keys: { publicKey, keyId: 'k1', algorithms: ['RS256'] } }),
    authorize: scope('orders:read'),
    ...(audited && audit),
  }) as Guard<Principal>
}

/** Route with a parameter, limits, JWT, a scope, an audit subscriber and the default fields. */
export async function complete(name: string, version: Contender['version'], scene: Scene): Promise<Contender> {
  const own = guarding(scene, true)
  const orders = service({
    path: '/orders',
    guard: own,
    resources: [
      { method: 'GET', path: '/:id', handler: (_request, _principal, { parameters }) => json({ id: parameters['id'], state: 'shipped' }) },
    ],
  })
  return ours(name, version, await serve({ tls: scene.tls, guard: own, port: 0, timeouts: patience, services: [orders] }))
}

/** JWT and a scope before a handler for Node's objects. */
export async function guarded(name: string, version: Contender['version'], scene: Scene): Promise<Contender> {
  const handler = { requestListener: (_request: unknown, response: Plain) => answer(response) }
  return ours(name, version, await serve({ tls: scene.tls, guard: guarding(scene, false), port: 0, timeouts: patience }, handler))
}

/** Nobody is asked anything. */
export async function open(name: string, version: Contender['version'], { tls }: Scene): Promise<Contender> {
  const handler = { requestListener: (_request: unknown, response: Plain) => answer(response) }
  return ours(name, version, await serve({ tls, guard: guard({ authenticate: everyone() }), port: 0, timeouts: patience }, handler))
}

/** The same as {@link complete} with the classes of the Fetch standard. */
export async function responding(name: string, version: Contender['version'], scene: Scene): Promise<Contender> {
  const handler = () => new Response(body, { headers: { 'content-type': 'application/json' } })
  return ours(name, version, await serve({ tls: scene.tls, guard: guarding(scene, true), port: 0, timeouts: patience }, handler))
}
