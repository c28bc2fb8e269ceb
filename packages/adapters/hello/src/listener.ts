import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer } from 'node:tls'

import { checkOptions, requireGuard, requireNumber, requireText, type Anonymous, type Guard, type Principal } from '@portcullis/core'
import { attach, isTlsBundle, secureServerOptions, tlsBundle, type ServerTlsBundle, type ServerTlsOptions } from '@portcullis/tls'

import { Connection } from './connection.ts'

/** One thing that a listener offers: it answers once, or pushes news until it is stopped. */
export type Operation<P extends Principal | Anonymous = Principal | Anonymous> = {
  /** A lower level of the listener's guard. Default: the listener's own. */
  readonly guard?: Guard<P> | Guard<Anonymous>
} & (
  | { answer(principal: P | Anonymous): string | Promise<string>; readonly follow?: never }
  | { follow(principal: P | Anonymous, push: (text: string) => void): () => void; readonly answer?: never }
)

/** What {@link serve} takes. */
export interface ServeOptions<P extends Principal | Anonymous = Principal> {
  readonly tls: ServerTlsBundle | ServerTlsOptions
  readonly guard: Guard<P>
  /** By `<action> <resource>`, such as `read orders`. What is not named here is refused. */
  readonly operations: Readonly<Record<string, Operation<P>>>
  /** Default: one that is free. */
  readonly port?: number
  /** Default: loopback, so that nothing is open to others by accident. */
  readonly host?: string
}

/** A listener that runs. */
export interface HelloListener {
  readonly port: number
  /** Ends every connection with a last word, and the listener. */
  close(): Promise<void>
}

// Each holds a socket and a session, some tens of kilobytes: a gigabyte at most.
const maxConnections = 10_000
// How long a peer that is still in its handshake may hold up the end of the listener.
const handshakeMs = 1_000

/** Opens a listener. Throws `ERR_GUARD_MISSING` without a guard, what `tlsBundle` throws, and the system's error if the address cannot be had. */
export async function serve<P extends Principal | Anonymous>(options: ServeOptions<P>): Promise<HelloListener> {
  checkOptions<ServeOptions<P>>('serve', options, { tls: true, guard: true, operations: true, port: true, host: true })
  const guard: Guard = requireGuard('serve', options.guard)
  const port = requireNumber('serve: port', options.port ?? 0, { min: 0, max: 65_535 })
  // An empty one would be every address of the machine.
  const host = requireText('serve: host', options.host ?? '127.0.0.1')
  // A map, so that no name that a peer chooses resolves to something inherited.
  const operations = new Map<string, Operation<Principal | Anonymous>>(Object.entries(options.operations))
  for (const [name, operation] of operations)
    if ('guard' in operation) requireGuard<Principal | Anonymous>(`serve: the operation "${name}"`, operation.guard)
  const tls = await tlsBundle(options.tls)
  const connections = new Set<Connection>()

  const server = createServer(secureServerOptions(tls), (socket) => {
    // Its handshake ended after the listener did.
    if (!server.listening) return void socket.destroy()
    const connection = new Connection({ socket, tls, guard, operations })
    connections.add(connection)
    return void connection.run().finally(() => connections.delete(connection))
  })
  server.maxConnections = maxConnections
  // Below TLS, so that those which are still in their handshake are among them.
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  attach(server, tls)
  // What happens before the guard belongs into the same audit trail.
  const unsubscribe = tls.subscribe((event) => {
    if (event.type === 'handshakeRefused' && event.server === server)
      guard.report({
        type: event.type,
        protocol: 'hello',
        code: event.code,
        cause: event.error,
        ...(event.remoteAddress !== undefined && { remoteAddress: event.remoteAddress }),
      })
  })
  const close = async (): Promise<void> => {
    unsubscribe()
    const closed = once(server, 'close')
    server.close()
    for (const connection of connections) connection.end('shutdown')
    const timer = setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, handshakeMs)
    await closed
    clearTimeout(timer)
    // Who makes a bundle closes it.
    if (!isTlsBundle(options.tls)) tls.close()
  }
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (error) {
    await close()
    throw error
  }
  return { port: (server.address() as AddressInfo).port, close }
}
