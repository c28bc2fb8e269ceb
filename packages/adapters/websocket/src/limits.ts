import { checkOptions, requireNumber } from '@portcullis/core'

/** What one peer, or all of them, may take. */
export interface WebSocketLimits {
  /** The longest message, in bytes, all its fragments together. Default: 65,536. Longer ones close the connection with 1009. */
  readonly maxMessageBytes?: number
  /** What may wait for a peer that does not read, in bytes; before more is sent to it, it is cut. Default: 1,048,576. */
  readonly maxUnreadBytes?: number
  /** Connections of one principal to this endpoint. Default: 100: some devices with some tabs each. Raise it where one service speaks for many. */
  readonly maxConnectionsPerPrincipal?: number
  /** How long judging an upgrade may take, in milliseconds. Default: 10,000. (For the bytes of the handshake the HTTP listener has a limit.) */
  readonly handshakeMs?: number
  /** A peer from which nothing has come for so long, not even the answer to a ping, is cut. In milliseconds; default: 60,000. */
  readonly idleMs?: number
}

/** Bounds of connections that may prove themselves by their first message. */
export interface FirstMessageLimits {
  /** How many may wait at a time. Default: 100. */
  readonly maxUnproven?: number
  /** How long one may wait, in milliseconds, until it is proven. Default: 10,000. */
  readonly withinMs?: number
  /** What one may send until then, in bytes on the wire. Default: 20,480: the longest credential, and the frame around it. */
  readonly maxBytes?: number
}

/** What holds where {@link WebSocketLimits} name nothing else. */
export const defaultLimits: Required<WebSocketLimits> = Object.freeze({
  maxMessageBytes: 65_536,
  maxUnreadBytes: 1_048_576,
  maxConnectionsPerPrincipal: 100,
  handshakeMs: 10_000,
  idleMs: 60_000,
})

/** What holds where {@link FirstMessageLimits} name nothing else. */
export const defaultFirstMessageLimits: Required<FirstMessageLimits> = Object.freeze({
  maxUnproven: 100,
  withinMs: 10_000,
  maxBytes: 20_480,
})

/** Fills in what was not said, and refuses what makes no sense. */
export function resolveLimits(limits: WebSocketLimits = {}): Required<WebSocketLimits> {
  checkOptions<WebSocketLimits>('websocket limits', limits, {
    maxMessageBytes: true,
    maxUnreadBytes: true,
    maxConnectionsPerPrincipal: true,
    handshakeMs: true,
    idleMs: true,
  })
  const all = { ...defaultLimits, ...limits }
  // ws counts in 32 bits; a message that large is a file, and belongs into a request.
  requireNumber('websocket limits.maxMessageBytes', all.maxMessageBytes, { min: 1, max: 2 ** 30 })
  requireNumber('websocket limits.maxUnreadBytes', all.maxUnreadBytes, { min: 1, max: 2 ** 30 })
  requireNumber('websocket limits.maxConnectionsPerPrincipal', all.maxConnectionsPerPrincipal, { min: 1, max: 1_000_000 })
  requireNumber('websocket limits.handshakeMs', all.handshakeMs, { min: 1, max: 120_000 })
  requireNumber('websocket limits.idleMs', all.idleMs, { min: 10, max: 3_600_000 })
  return all
}

/** The same for the first message. */
export function resolveFirstMessage(limits: FirstMessageLimits): Required<FirstMessageLimits> {
  checkOptions<FirstMessageLimits>('websocket firstMessage', limits, { maxUnproven: true, withinMs: true, maxBytes: true })
  const all = { ...defaultFirstMessageLimits, ...limits }
  requireNumber('websocket firstMessage.maxUnproven', all.maxUnproven, { min: 1, max: 10_000 })
  requireNumber('websocket firstMessage.withinMs', all.withinMs, { min: 1, max: 120_000 })
  requireNumber('websocket firstMessage.maxBytes', all.maxBytes, { min: 64, max: 65_536 })
  return all
}
