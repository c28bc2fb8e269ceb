import { finished } from 'node:stream'
import { ReadableStream } from 'node:stream/web'
import type { Exchange } from './exchange.ts'

// A native Request costs 5 microseconds, a third of a bare request, and most handlers read its method, URL and one field.
// So it is made when something of it is asked for that is not at hand.

/** What is needed to make the native object. */
interface Origins {
  readonly exchange: Exchange
  readonly url: string
  readonly hasContent: boolean
}

const origins: unique symbol = Symbol('origins')
const made: unique symbol = Symbol('made')
const fields: unique symbol = Symbol('fields')

/** The request as handlers of the fetch form see it; made by {@link incomingRequest}. */
class IncomingRequest {
  readonly [origins]: Origins;
  [made]: Request | undefined;
  [fields]: Headers | undefined

  constructor(from: Origins) {
    this[origins] = from
  }

  get method(): string {
    return this[origins].exchange.method
  }
  get url(): string {
    return this[origins].url
  }
  get headers(): Headers {
    return this[made]?.headers ?? (this[fields] ??= headersOf(this[origins].exchange.rawHeaders))
  }
}

const delegated = [
  'body',
  'bodyUsed',
  'cache',
  'credentials',
  'destination',
  'duplex',
  'integrity',
  'isHistoryNavigation',
  'isReloadNavigation',
  'keepalive',
  'mode',
  'redirect',
  'referrer',
  'referrerPolicy',
  'signal',
] as const
const methods = ['arrayBuffer', 'blob', 'bytes', 'clone', 'formData', 'json', 'text'] as const

for (const name of delegated) {
  Object.defineProperty(IncomingRequest.prototype, name, {
    configurable: true,
    enumerable: true,
    get: function (this: IncomingRequest): unknown {
      return Reflect.get(nativeOf(this), name)
    },
  })
}
for (const name of methods) {
  Object.defineProperty(IncomingRequest.prototype, name, {
    configurable: true,
    enumerable: true,
    value: function (this: IncomingRequest, ...args: []): unknown {
      const native = nativeOf(this)
      return native[name](...args)
    },
  })
}
// So that `request instanceof Request` holds, as libraries ask.
Object.setPrototypeOf(IncomingRequest.prototype, Request.prototype)

function nativeOf(request: IncomingRequest): Request {
  if (request[made] !== undefined) return request[made]
  const { exchange, url, hasContent } = request[origins]
  const gone = new AbortController()
  exchange.onClose(() => {
    if (!exchange.finished) gone.abort()
  })
  const content = hasContent ? { body: webStreamOf(exchange), duplex: 'half' } : {}
  return (request[made] = new Request(url, {
    method: exchange.method,
    headers: request.headers,
    signal: gone.signal,
    ...content,
  } as RequestInit))
}

/** Makes the request that a handler gets. Its URL is built on the listener's own origin: a `Host` field is only what the peer says. */
export function incomingRequest(exchange: Exchange, url: string, hasContent: boolean): Request {
  // It answers to everything that a Request answers to, through the native one; the prototype says so at run time.
  return new IncomingRequest({ exchange, url, hasContent }) as unknown as Request
}

function headersOf(rawHeaders: readonly string[]): Headers {
  const headers = new Headers()
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? ''
    if (!name.startsWith(':')) headers.append(name, rawHeaders[at + 1] ?? '')
  }
  return headers
}

/**
 * The content as it arrives, each piece when it is asked for. One that breaks off fails, so that nobody takes its
 * beginning for the whole. Who cancels it has the rest dropped and may answer all the same: what Node makes of a stream
 * takes the connection down with it, and on Node 22 that of HTTP/2 ends only when the answer has.
 */
function webStreamOf(exchange: Exchange): ReadableStream<Uint8Array> {
  const { content } = exchange
  let detach = (): void => undefined
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        const over = (error?: Error | null): void => {
          detach()
          if (error) controller.error(error)
          else controller.close()
        }
        const answered = (): void => over(new Error('The request was answered before its content was read.'))
        const take = (chunk: Buffer): void => {
          content.pause()
          controller.enqueue(new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength))
        }
        if (exchange.finished) return answered()
        const unwatch = finished(content.pause().on('data', take), { writable: false }, over)
        // The answer over HTTP/2 ends the stream both ways.
        content.once('finish', answered)
        detach = () => {
          unwatch()
          content.off('data', take).off('finish', answered)
        }
      },
      pull: () => void content.resume(),
      cancel: () => {
        detach()
        content.resume()
      },
    },
    { highWaterMark: 0 },
  )
}
