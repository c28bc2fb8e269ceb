import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'

import { WebSocketServer, type WebSocket } from 'ws'
import { guard, scope, serve, type Guard, type Principal, type WebSocketOptions } from '@portcullis/websocket'
import { jwt } from '@portcullis/jwt'
import { secureServerOptions } from '@portcullis/tls'

import type { Scene } from '../http/scene.ts'
import { ask, inWindows, processorTime, start, type Cost } from '../windows.ts'
import type { LoadMessage } from './load.ts'

/** A listener that is measured against others. */
export interface Contender {
  readonly name: string
  readonly port: number
  readonly close: () => Promise<unknown>
}

const echo = (socket: WebSocket): void => void socket.on('message', (data, binary) => socket.send(data, { binary }))

/** `ws` alone, on an HTTPS server that asks nobody who comes. */
export async function bare(name: string, { tls }: Scene): Promise<Contender> {
  const server = createServer(secureServerOptions(tls))
  const library = new WebSocketServer({ server, path: '/feed', maxPayload: 65_536 })
  library.on('connection', echo)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return { name, port: (server.address() as AddressInfo).port, close: async () => server.close() }
}

/** Ours, with access tokens and a scope. */
export async function ours(name: string, scene: Scene, options: Partial<WebSocketOptions<Principal>> = {}): Promise<Contender> {
  const listener = await serve(
    { tls: scene.tls, guard: policyOf(scene), port: 0, path: '/feed', limits: { maxConnectionsPerPrincipal: 10_000 }, ...options },
    echo,
  )
  return { name, port: listener.port, close: () => listener.close() }
}

export function policyOf({ publicKey, issuer, audience }: Scene): Guard<Principal> {
  return guard({
    authenticate: jwt({ issuer, audience, keys: { publicKey, keyId: 'k1', algorithms: ['RS256'] } }),
    authorize: scope('orders:read'),
  }) as Guard<Principal>
}

/** How the far end loads a contender: what comes before, and what a window is. */
export interface Load {
  readonly before: readonly LoadMessage[]
  readonly measured: LoadMessage
  readonly count: number
}

/** Measures all contenders in this one process. */
export async function measure(
  contenders: readonly Contender[],
  windows: number,
  loadOf: (contender: Contender, id: number) => Load,
  warmWindows = 6,
): Promise<ReadonlyMap<Contender, Cost>> {
  const far = start(new URL('./load.ts', import.meta.url))
  try {
    for (const [id, contender] of contenders.entries()) {
      const { before, measured } = loadOf(contender, id)
      for (const message of before) await ask(far, message)
      for (let warm = 0; warm < warmWindows; warm++) await ask(far, measured)
    }
    return await inWindows(contenders, windows, async (contender, id) => {
      const { measured, count } = loadOf(contender, id)
      return (await processorTime(() => ask(far, measured))) / count
    })
  } finally {
    far.kill()
    await Promise.all(contenders.map((contender) => contender.close()))
  }
}
