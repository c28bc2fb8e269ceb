import type { EndReason, Reason } from '@portcullis/core'
import type { TLSSocket } from 'node:tls'

/**
 * How a connection ends: `flush` delivers what was written before and then closes, `cut` closes at once. The protocol
 * has no words of its own, so a peer is told nothing but that.
 */
export type Ending = 'flush' | 'cut'

/** A refused peer was told nothing yet, so there is nothing to flush. */
export const refusals = {
  missing: 'cut',
  malformed: 'cut',
  invalid: 'cut',
  stepUp: 'cut',
  insufficientScope: 'cut',
  forbidden: 'cut',
  outage: 'cut',
  overload: 'cut',
  internal: 'cut',
} as const satisfies Record<Reason, Ending>

/** After a revocation nothing is delivered, not even what was written before. */
export const endings = {
  expired: 'flush',
  revoked: 'cut',
  policy: 'cut',
  subjectChanged: 'cut',
  reauthenticationLimit: 'cut',
  closed: 'flush',
  shutdown: 'flush',
} as const satisfies Record<EndReason, Ending>

/** How long a peer that does not read what was written keeps its socket, in milliseconds. */
export const flushMs = 1_000

/** Closes a connection in one of the two ways. */
export function close(socket: TLSSocket, ending: Ending): void {
  if (ending === 'cut' || socket.destroyed) {
    socket.destroy()
    return
  }
  const timer = setTimeout(() => socket.destroy(), flushMs)
  socket.once('close', () => clearTimeout(timer))
  socket.destroySoon()
}
