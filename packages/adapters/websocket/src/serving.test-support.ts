import { guard, scope, type AuditEvent, type Guard } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest'
import { serve, type GuardedSocket, type Principal, type ServeOptions, type SocketHandler, type WebSocketListener } from './index.ts'
import { gate, open, revocations, tokens, type Peer, type PeerInit } from './service.test-support.ts'

// What each test of a file has anew, by whoever imports this.
export let tls: DevelopmentTls
export let listener: WebSocketListener
export let events: AuditEvent[] = []
export let clock = manualClock(Date.now())
export let policy = makePolicy()
function makePolicy(): Guard<Principal> {
  return guard({
    authenticate: tokens(() => clock.now()),
    authorize: scope('orders:read'),
    clock,
    audit: (event) => events.push(event),
  })
}

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(() => {
  events = []
  clock = manualClock(Date.now())
  policy = makePolicy()
  revocations.clear()
  gate.open = Promise.resolve()
})
afterEach(() => listener.close())
afterAll(() => tls.close())

/** What the last echo took. */
export const taken: string[] = []
const echo: SocketHandler<Principal> = (socket) => {
  taken.length = 0
  socket.on('message', (data: Buffer, isBinary) => {
    taken.push(data.toString())
    socket.send(data, { binary: isBinary })
  })
}

/** Opens the listener of this test; yields its connections as they come. */
export async function serving(options: Partial<ServeOptions> = {}, handler = echo): Promise<GuardedSocket[]> {
  const sockets: GuardedSocket[] = []
  listener = await serve({ tls, guard: policy, port: 0, ...options }, (socket, principal, request) => {
    sockets.push(socket)
    return handler(socket, principal, request)
  })
  return sockets
}

/** Opens a connection to it. */
export const peer = (init: PeerInit = { token: 'alice' }): Promise<Peer> => open(listener.port, tls.client, '/', init)

/** Another guard for this test, before {@link serving}. */
export function judgedBy(other: Guard<Principal>): void {
  policy = other
}
