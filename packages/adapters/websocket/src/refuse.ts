import { formatChallenges, type Advice, type EndReason, type Reason, type Refusal } from '@portcullis/core'
import type { WebSocketErrorCode } from './errors.ts'
import type { ListenerFrame } from './session-frame.ts'

/** A close code and the text that goes with it. 4000 and above are applications' to give (RFC 6455 section 7.4.2). */
export interface Closing {
  readonly code: number
  readonly text: string
}

/** How a session ends on the wire. 4401 and 4403 say what the HTTP statuses say; 4401 is worth coming back with another credential. */
export const endings: Readonly<Record<EndReason, Closing>> = {
  expired: { code: 4401, text: 'expired' },
  revoked: { code: 4401, text: 'revoked' },
  policy: { code: 4403, text: 'forbidden' },
  subjectChanged: { code: 1008, text: 'another subject' },
  reauthenticationLimit: { code: 1008, text: 'too many attempts' },
  closed: { code: 1000, text: '' },
  shutdown: { code: 1001, text: 'shutdown' },
}

/** Ends after which not even what was sent before may still arrive. */
export const cutsOff: Readonly<Record<EndReason, boolean>> = {
  expired: false,
  revoked: true,
  policy: true,
  subjectChanged: true,
  reauthenticationLimit: false,
  closed: false,
  shutdown: false,
}

/** How a refused message, or a refused first message, closes the connection. */
export const refusals: Readonly<Record<Reason, Closing>> = {
  missing: { code: 4401, text: 'credential missing' },
  malformed: { code: 4401, text: 'credential malformed' },
  invalid: { code: 4401, text: 'credential refused' },
  stepUp: { code: 4401, text: 'stronger authentication needed' },
  insufficientScope: { code: 4403, text: 'scope missing' },
  forbidden: { code: 4403, text: 'forbidden' },
  outage: { code: 1013, text: 'try again later' },
  overload: { code: 1013, text: 'try again later' },
  internal: { code: 1011, text: 'internal error' },
}

/** What closes a connection beside the guard. */
export const faults = {
  ERR_WEBSOCKET_FRAME: { code: 1008, text: 'session frame' },
  ERR_WEBSOCKET_HANDSHAKE_TIMEOUT: { code: 1008, text: 'too late' },
  ERR_WEBSOCKET_HANDLER_FAILED: { code: 1011, text: 'internal error' },
  ERR_WEBSOCKET_CONNECTIONS: { code: 1013, text: 'too many connections' },
} as const satisfies Partial<Record<WebSocketErrorCode, Closing>>

const handshakeAnswers = {
  ERR_WEBSOCKET_ORIGIN: '403 Forbidden',
  ERR_WEBSOCKET_CONNECTIONS: '429 Too Many Requests',
  ERR_WEBSOCKET_UNPROVEN: '503 Service Unavailable',
  ERR_WEBSOCKET_HANDSHAKE_TIMEOUT: '503 Service Unavailable',
} as const satisfies Partial<Record<WebSocketErrorCode, string>>

/** What refuses an upgrade beside the guard. */
export type HandshakeFault = keyof typeof handshakeAnswers

/** The whole answer to an upgrade that is refused beside the guard. */
export function handshakeAnswer(code: HandshakeFault): string {
  return `HTTP/1.1 ${handshakeAnswers[code]}\r\ncontent-length: 0\r\ncache-control: no-store\r\nconnection: close\r\n\r\n`
}

/** The frame that says that a new credential was not accepted. */
export function refusedFrame({ reason, offers, advice }: Refusal): ListenerFrame {
  const challenges = reason === 'internal' || reason === 'outage' || reason === 'overload' ? [] : formatChallenges(offers, reason, advice)
  return { type: 'refused', reason, challenges }
}

/** What the answer to an allowed upgrade must carry along (RFC 9449 section 8.2), as header lines. */
export function acknowledge(advice: Advice | undefined): readonly string[] {
  return advice?.nonce === undefined ? [] : [`DPoP-Nonce: ${advice.nonce}`]
}
