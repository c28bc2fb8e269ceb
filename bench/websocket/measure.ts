import { fork, type ChildProcess } from 'node:child_process'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'

import { WebSocketServer, type WebSocket } from 'ws'
import { guard, scope, serve, type Guard, type Principal, type WebSocketOptions } from '@portcullis/websocket'
import { jwt } from '@portcullis/jwt'
import { secureServerOptions } from '@portcullis/tls'

import type { Cost } from '../http/measure.ts'
import type { Scene } from '../http/scene.ts'
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

/** Measures all contenders in this one process, in short windows and in random order, as the HTTP benchmarks do. */
export async function measure(
  contenders: readonly Contender[],
  windows: number,
  messages: (
    contender: Contender,
    id: number,
  ) => { readonly before: readonly LoadMessage[]; readonly measured: LoadMessage; readonly count: number },
  warmWindows = 6,
): Promise<ReadonlyMap<string, Cost>> {
  const far = startLoad()
  try {
    const plans = new Map(contenders.map((contender, id) => [contender, messages(contender, id)]))
    const samples = new Map<Contender, number[]>(contenders.map((contender) => [contender, []]))
    for (const { before, measured } of plans.values()) {
      for (const message of before) await ask(far, message)
      for (let warm = 0; warm < warmWindows; warm++) await ask(far, measured)
    }
    for (let window = 0; window < windows; window++) {
      for (const [contender, { measured, count }] of shuffled([...plans])) {
        const begin = process.cpuUsage()
        await ask(far, measured)
        const { user, system } = process.cpuUsage(begin)
        samples.get(contender)?.push((user + system) / count)
      }
    }
    return new Map(
      [...samples].map(([{ name }, taken]) => [name, { us: taken.toSorted((a, b) => a - b)[Math.floor(taken.length / 10)] ?? Number.NaN }]),
    )
  } finally {
    far.kill()
    await Promise.all(contenders.map((contender) => contender.close()))
  }
}

/** Starts the far end. */
export function startLoad(): ChildProcess {
  return fork(fileURLToPath(new URL('./load.ts', import.meta.url)), { execArgv: ['--conditions=@portcullis/source'] })
}

/** Asks another process for something, and waits until it was done. */
export function ask<T = unknown>(process: ChildProcess, message: object): Promise<T> {
  return new Promise((resolve, reject) => {
    process.once('message', (answer: T & { readonly error?: string }) =>
      answer.error === undefined ? resolve(answer) : reject(new Error(answer.error)),
    )
    process.send(message)
  })
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
