import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerRequest, Http2ServerResponse } from 'node:http2'
import type { Readable, Writable } from 'node:stream'
import type { Connection } from './connection.ts'

/** The objects of `node:http`, or of the compatibility layer of `node:http2`. */
export interface NodePair {
  readonly request: IncomingMessage | Http2ServerRequest
  readonly response: ServerResponse | Http2ServerResponse
}

/** One request and the way to answer it: the same for HTTP/1.1 and HTTP/2, and as thin as either. */
export interface Exchange {
  readonly method: string
  /** The request target as received. */
  readonly target: string
  /** Names and values in turn, as received. */
  readonly rawHeaders: string[]
  /** What Node has made of them. */
  readonly headers: Record<string, unknown>
  readonly connection: Connection
  /** True if the peer waits for a word before it sends the content (RFC 9110 section 10.1.1). */
  readonly awaitsContinue: boolean
  /** True once a part of the answer was sent, or none can be. */
  readonly answered: boolean
  /** True once the whole answer was handed over, or none can be. */
  readonly finished: boolean
  /** True if content follows even though no field may say so (HTTP/2). */
  readonly streamsContent: boolean
  /** The content. */
  readonly content: Readable
  /** True while some of the content has yet to arrive. */
  readonly contentDue: boolean
  /** Says that the content may come. */
  proceed(): void
  /** Answers at once; `headers` are its own from then on. `last`: an HTTP/1.1 connection whose content has not arrived ends with it. */
  send(status: number, headers: string[], content: string | Uint8Array, last?: boolean): void
  /** Begins an answer whose content follows. */
  begin(status: number, headers: readonly string[]): Writable
  /** Cuts the exchange off, in a way that the peer cannot take for its end. */
  abort(): void
  /** Calls `listener` once, when the exchange is over: answered, or the peer gone. */
  onClose(listener: () => void): void
  /** Says that somebody else has answered in the handler's stead: what it still does to the node objects is dropped, and the content fails. */
  disown(): void
  /** The node objects, made once. */
  native(): NodePair
}

// Content up to this length that nobody wants is read and dropped, so that the connection can be used again.
export const droppedContentBytes = 65_536

/** Statuses whose answers have no content (RFC 9110 section 6.4.1). */
export function hasNoContent(status: number): boolean {
  return status === 204 || status === 304 || status < 200
}

/**
 * Counts content of unannounced length on its way in and calls `exceeded`, once, beyond `maxBytes`. What is beyond never
 * arrives, and neither does the end, so that nobody takes the beginning for the whole. Announced lengths need no
 * counting: both protocols hold the peer to them.
 */
export function countContent(content: Readable, maxBytes: number, exceeded: () => void): void {
  const push = content.push.bind(content)
  let bytes = 0
  content.push = (chunk: Uint8Array | null, encoding?: BufferEncoding): boolean => {
    if (bytes > maxBytes) return false
    if (chunk !== null) bytes += chunk.byteLength
    if (bytes <= maxBytes) return push(chunk, encoding)
    exceeded()
    return false
  }
}
