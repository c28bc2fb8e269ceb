/**
 * The frames by which both ends speak about their session, beside the application's messages: text of a tag, a space, and
 * JSON. The tag is drawn for each connection, so that no text that an application passes on from somebody else is ever
 * taken for such a frame. Only peers that ask for them get a tag.
 */
import { randomBytes } from 'node:crypto'
import type { Reason } from '@portcullis/core'

/** The field by which a client asks for session frames (`Portcullis-Session: 1`) and the listener names the tag. */
export const sessionField = 'portcullis-session'
/** The sub-protocol by which a browser asks for them: the first frame that it gets begins with the tag. */
export const sessionProtocol = 'portcullis.session.1'

/** What a listener says. */
export type ListenerFrame =
  /** Present a credential; nothing else is taken before. */
  | { readonly type: 'authenticate' }
  /** The peer is proven until then. The first frame where the sub-protocol asks for it, and the answer to `authenticate`. */
  | { readonly type: 'authenticated'; readonly expiresAt: string }
  /** The time is nearly over. */
  | { readonly type: 'expiring'; readonly expiresAt: string }
  /** A new credential was not accepted; what was before still holds. */
  | { readonly type: 'refused'; readonly reason: Reason; readonly challenges: readonly string[] }

/** What a client says: a new credential, as in an `Authorization` field. */
export interface ClientFrame {
  readonly type: 'authenticate'
  readonly authorization: string
}

/** Draws a tag: 128 random bits, which nobody guesses (RFC 4086 section 8.2). */
export function newTag(): string {
  return `portcullis:${randomBytes(16).toString('base64url')}`
}

/** Whether a text is a tag, so that a field that says something else is not taken for one. */
export function isTag(text: string | undefined): text is string {
  return text !== undefined && /^portcullis:[A-Za-z0-9_-]{22}$/.test(text)
}

/** Writes a frame. */
export function writeFrame(tag: string, frame: ListenerFrame | ClientFrame): string {
  return `${tag} ${JSON.stringify(frame)}`
}

/** What stands behind the tag, or `undefined` if the message does not begin with it. */
export function contentOf(tag: string, message: Buffer): string | undefined {
  const { length } = tag
  // 0x70 is the `p` of every tag: most messages are told apart by their first byte.
  if (message[0] !== 0x70 || message[length] !== 0x20 || message.toString('latin1', 0, length) !== tag) return undefined
  return message.toString('utf8', length + 1)
}

/** Reads what a client says; `undefined` if it is nothing that one may say. */
export function readClientFrame(content: string): ClientFrame | undefined {
  const frame = read(content)
  return frame?.['type'] === 'authenticate' && typeof frame['authorization'] === 'string'
    ? { type: 'authenticate', authorization: frame['authorization'] }
    : undefined
}

/** Reads what a listener says; `undefined` for what this version does not know. */
export function readListenerFrame(content: string): ListenerFrame | undefined {
  const frame = read(content)
  switch (frame?.['type']) {
    case 'authenticate':
      return { type: 'authenticate' }
    case 'authenticated':
    case 'expiring':
      return typeof frame['expiresAt'] === 'string' ? { type: frame['type'], expiresAt: frame['expiresAt'] } : undefined
    case 'refused': {
      const { reason, challenges } = frame
      return Array.isArray(challenges) ? { type: 'refused', reason: reason as Reason, challenges: challenges.map(String) } : undefined
    }
    default:
      return undefined
  }
}

function read(content: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(content)
    return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined
  } catch {
    return undefined
  }
}
