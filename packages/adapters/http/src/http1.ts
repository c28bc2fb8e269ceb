import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Connection } from './connection.ts'
import { hasNoContent, type Exchange, type NodePair } from './exchange.ts'

// A round trip around the world, and some.
const lingerMs = 500

/** A request over HTTP/1.1. */
export class Http1Exchange implements Exchange {
  /** HTTP/1.1 announces content by a field, always (RFC 9112 section 6). */
  readonly streamsContent = false
  readonly connection: Connection
  readonly awaitsContinue: boolean
  readonly #request: IncomingMessage
  readonly #response: ServerResponse

  constructor(request: IncomingMessage, response: ServerResponse, connection: Connection, awaitsContinue: boolean) {
    this.#request = request
    this.#response = response
    this.connection = connection
    this.awaitsContinue = awaitsContinue
  }

  get method(): string {
    return this.#request.method ?? ''
  }
  get target(): string {
    return this.#request.url ?? ''
  }
  get rawHeaders(): string[] {
    return this.#request.rawHeaders
  }
  get headers(): IncomingMessage['headers'] {
    return this.#request.headers
  }
  get answered(): boolean {
    return this.#response.headersSent || this.#response.destroyed
  }
  get finished(): boolean {
    return this.#response.writableEnded || this.#response.destroyed
  }
  get content(): IncomingMessage {
    return this.#request
  }
  get contentDue(): boolean {
    return !this.#request.complete
  }

  proceed(): void {
    this.#response.writeContinue()
  }

  send(status: number, headers: string[], content: string | Uint8Array, last = false): void {
    if (!hasNoContent(status))
      headers.push('content-length', String(typeof content === 'string' ? Buffer.byteLength(content) : content.byteLength))
    if (last && this.contentDue) {
      // A socket closed while the peer still sends would be reset, and the answer lost with it: first let it read.
      this.#response.once('finish', () => setTimeout(() => this.#request.complete || this.#request.destroy(), lingerMs).unref())
    }
    this.#response.writeHead(status, headers)
    if (hasNoContent(status)) this.#response.end()
    else this.#response.end(content)
  }

  begin(status: number, headers: readonly string[]): ServerResponse {
    this.#response.writeHead(status, [...headers]).flushHeaders()
    return this.#response
  }

  abort(): void {
    this.#response.destroy()
  }

  onClose(listener: () => void): void {
    this.#response.once('close', listener)
  }

  disown(): void {
    // A write after the end is an error event, and one that nobody listens to ends the process.
    this.#response.on('error', ignore)
    this.#response.once('close', () => this.#request.destroy())
  }

  native(): NodePair {
    return { request: this.#request, response: this.#response }
  }
}

function ignore(): void {}
