import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:tls'

import { checkOptions, requireGuard, type Anonymous, type Guard, type Principal } from '@portcullis/core'
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

/** Opens a listener. Throws `ERR_GUARD_MISSING` without a guard, and what `tlsBundle` throws. */
export async function serve<P extends Principal | Anonymous>(options: ServeOptions<P>): Promise<HelloListener> {
  checkOptions<ServeOptions<P>>('serve', options, { tls: true, guard: true, operations: true, port: true, host: true })
  const guard: Guard = requireGuard('serve', options.guard)
  // A map, so that no name that a peer chooses resolves to something inherited.
  const operations = new Map<string, Operation<Principal | Anonymous>>(Object.entries(options.operations))
  for (const [name, operation] of operations)
    if ('guard' in operation) requireGuard<Principal | Anonymous>(`serve: the operation "${name}"`, operation.guard)
  const tls = await tlsBundle(options.tls)
  const connections = new Set<Connection>()

  const server = createServer(secureServerOptions(tls), (socket) => {
    const connection = new Connection({ socket, tls, guard, operations })
    connections.add(connection)
    void connection.run().finally(() => connections.delete(connection))
  })
  server.maxConnections = maxConnections
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
  server.listen(options.port ?? 0, options.host ?? '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      unsubscribe()
      const closed = once(server, 'close')
      server.close()
      for (const connection of connections) connection.end('shutdown')
      await closed
      // Who makes a bundle closes it.
      if (!isTlsBundle(options.tls)) tls.close()
    },
  }
}
