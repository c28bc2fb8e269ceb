import {
  Http2ServerRequest,
  Http2ServerResponse,
  constants,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import type { Writable } from 'node:stream'
import type { Connection } from './connection.ts'
import { droppedContentBytes, hasNoContent, type Exchange, type NodePair } from './exchange.ts'

/** A request over HTTP/2, on the stream itself: Node's compatibility layer costs a fifth of the throughput. */
export class Http2Exchange implements Exchange {
  readonly connection: Connection
  readonly method: string
  readonly target: string
  readonly rawHeaders: string[]
  readonly headers: IncomingHttpHeaders
  readonly #stream: ServerHttp2Stream
  #native: NodePair | undefined
  #ended = false

  constructor(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, rawHeaders: string[], connection: Connection) {
    this.#stream = stream
    this.headers = headers
    this.method = headers[':method'] ?? ''
    this.target = headers[':path'] ?? ''
    this.rawHeaders = rawHeaders
    this.connection = connection
    // A stream without a listener for it turns an aborted request into an exception of the process.
    stream.on('error', ignore)
    if (this.streamsContent) stream.once('finish', () => this.#leaveContent())
  }

  get awaitsContinue(): boolean {
    return this.headers.expect === '100-continue'
  }
  get answered(): boolean {
    return this.#stream.headersSent || this.#stream.destroyed
  }
  get finished(): boolean {
    // Node ends the writable side of a HEAD request before anybody has answered it.
    return this.#ended || this.#stream.destroyed || (this.#stream.writableEnded && this.#stream.headersSent)
  }
  get content(): ServerHttp2Stream {
    return this.#stream
  }
  get streamsContent(): boolean {
    return !this.#stream.endAfterHeaders
  }
  get contentDue(): boolean {
    const { state } = this.#stream.state
    return state === constants.NGHTTP2_STREAM_STATE_OPEN || state === constants.NGHTTP2_STREAM_STATE_HALF_CLOSED_LOCAL
  }
  /** True while nothing goes on unless the peer reads. */
  get awaitsPeer(): boolean {
    return this.finished || this.#stream.writableLength > 0
  }

  proceed(): void {
    this.#stream.additionalHeaders({ ':status': 100 })
  }

  send(status: number, headers: string[], content: string | Uint8Array): void {
    this.#ended = true
    const fields = fieldsOf(status, headers)
    if (hasNoContent(status)) {
      this.#stream.respond(fields, { endStream: true })
    } else {
      fields['content-length'] = String(typeof content === 'string' ? Buffer.byteLength(content) : content.byteLength)
      if (this.method === 'HEAD') {
        this.#stream.respond(fields, { endStream: true })
      } else {
        this.#stream.respond(fields)
        this.#stream.end(content)
      }
    }
  }

  begin(status: number, headers: readonly string[]): Writable {
    const endStream = this.method === 'HEAD' || hasNoContent(status)
    this.#ended = endStream
    this.#stream.respond(fieldsOf(status, headers), { endStream })
    return this.#stream
  }

  abort(): void {
    // Not `close(code)`: Node ends the content properly before the reset, and the peer takes the beginning for the whole.
    this.#stream.destroy(new Error('The answer was cut off.'))
  }

  onClose(listener: () => void): void {
    this.#stream.once('close', listener)
  }

  disown(): void {
    this.#native?.response.on('error', ignore)
  }

  /** RFC 9113 section 8.1: an answer that does not need the rest of the request ends with a reset without an error. */
  #leaveContent(): void {
    if (!this.#stream.headersSent) return
    this.#stream.resume()
    // What is announced and small is likely on its way.
    if (this.contentDue && !(Number(this.headers['content-length']) <= droppedContentBytes)) this.#stream.close(constants.NGHTTP2_NO_ERROR)
  }

  native(): NodePair {
    if (this.#native !== undefined) return this.#native
    this.#native = {
      request: new Http2ServerRequest(this.#stream, this.headers, {}, this.rawHeaders),
      response: new Http2ServerResponse(this.#stream),
    }
    return this.#native
  }
}

function fieldsOf(status: number, headers: readonly string[]): OutgoingHttpHeaders {
  const fields: OutgoingHttpHeaders = { ':status': status }
  for (let at = 0; at < headers.length; at += 2) {
    const name = headers[at] ?? ''
    const value = headers[at + 1] ?? ''
    const before = fields[name]
    // Only what an application may name; a field that comes twice becomes a list.
    fields[name] = before === undefined ? value : Array.isArray(before) ? [...before, value] : [String(before), value]
  }
  return fields
}

function ignore(): void {}
