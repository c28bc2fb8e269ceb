import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { NatsTls } from './options.ts'
import type { ServerAt } from './servers.ts'

// In TLS 1.3 a server judges the client's certificate after the client has finished; its alert is one round trip away.
const alertWithinMs = 1_000
const probeWithinMs = 5_000

/**
 * Why a server does not let anybody in, where the library knows only that it took too long: connects once more, as far
 * as TLS goes, and waits for the server's alert. Resolves with the error that it met, or with nothing if it met none.
 * Sends no credential but the certificate.
 */
export async function probe({ host, port }: ServerAt, tls: NatsTls, withinMs: number): Promise<unknown> {
  const signal = AbortSignal.timeout(Math.min(probeWithinMs, withinMs))
  let socket: Socket = connectTcp({ host, port })
  const sockets = [socket]
  try {
    await once(socket, 'connect', { signal })
    // The greeting comes first, in the clear; it is not looked at.
    if (!tls.handshakeFirst) await once(socket, 'data', { signal })
    socket = connectTls({ ...tls, socket })
    sockets.push(socket)
    await once(socket, 'secureConnect', { signal })
    socket.resume()
    await once(socket, 'close', { signal: AbortSignal.timeout(alertWithinMs) })
    return undefined
  } catch (error) {
    return (error as Error).name === 'AbortError' ? undefined : error
  } finally {
    for (const one of sockets) one.on('error', () => undefined).destroy()
  }
}
