import { Readable, type Writable } from 'node:stream'
import type { ReadableStream as WebStream } from 'node:stream/web'
import { hasNoContent, type Exchange } from './exchange.ts'

/**
 * An answer as plain data: what a handler may return in place of a `Response`, at a fraction of its cost (a `Response`
 * and its streams take about as long as the rest of a request).
 */
export interface Reply {
  /** Default: 200. */
  readonly status?: number
  /** A list becomes a field for each value. */
  readonly headers?: Readonly<Record<string, string | readonly string[]>>
  readonly body?: string | Uint8Array | Readable | WebStream<Uint8Array>
}

const jsonFields = Object.freeze({ 'content-type': 'application/json' })

/** JSON as {@link Reply}. */
export function json(value: unknown, init?: { readonly status?: number; readonly headers?: Reply['headers'] }): Reply {
  const headers = init?.headers === undefined ? jsonFields : { ...jsonFields, ...init.headers }
  return { status: init?.status ?? 200, headers, body: JSON.stringify(value) }
}

/** What a handler may answer with. */
export type Answer = Response | Reply

/** Whether a value can be answered with; `Response`s of other realms and libraries count. */
export function isAnswer(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Sends an answer. `defaults` are fields, as name and value, that stand where the answer does not name them itself; `added` always. */
export async function sendAnswer(
  exchange: Exchange,
  answer: Answer,
  defaults: readonly (readonly [string, string])[],
  added: readonly string[],
  streaming: () => void,
): Promise<void> {
  const status = answer.status ?? 200
  const headers = isResponse(answer) ? fieldsOfResponse(answer.headers) : fieldsOfReply(answer.headers)
  withDefaults(headers, defaults)
  if (added.length > 0) headers.push(...added)
  const body: Reply['body'] | null = answer.body as Reply['body'] | null
  if (body === undefined || body === null || hasNoContent(status)) exchange.send(status, headers, '')
  else if (typeof body === 'string' || body instanceof Uint8Array) exchange.send(status, headers, body)
  else await pump(exchange, status, headers, sourceOf(body), streaming)
}

/** Sends a {@link Reply} that is all there at once, without a promise; says whether it could. */
export function sendAtOnce(
  exchange: Exchange,
  answer: Answer,
  defaults: readonly (readonly [string, string])[],
  added: readonly string[],
): boolean {
  const { body } = answer
  if (isResponse(answer) || (body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array))) return false
  const headers = fieldsOfReply(answer.headers)
  withDefaults(headers, defaults)
  if (added.length > 0) headers.push(...added)
  exchange.send(answer.status ?? 200, headers, body ?? '')
  return true
}

function isResponse(answer: Answer): answer is Response {
  return typeof (answer as { arrayBuffer?: unknown }).arrayBuffer === 'function'
}

// What belongs to one connection, or is said by the listener itself: an answer that was fetched elsewhere brings it along
// (RFC 9110 section 7.6.1), and twice said it breaks the message.
const ownFields: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
])

function fieldsOfResponse(headers: Headers): string[] {
  const fields: string[] = []
  headers.forEach((value, name) => {
    if (!ownFields.has(name)) fields.push(name, value)
  })
  for (const cookie of headers.getSetCookie()) fields.push('set-cookie', cookie)
  return fields
}

function fieldsOfReply(headers: Reply['headers']): string[] {
  const fields: string[] = []
  for (const name in headers) {
    const value = headers[name]
    if (typeof value === 'string') fields.push(name.toLowerCase(), value)
    else for (const one of value ?? []) fields.push(name.toLowerCase(), one)
  }
  return fields
}

function withDefaults(fields: string[], defaults: readonly (readonly [string, string])[]): void {
  const own = fields.length
  for (const [name, value] of defaults) {
    let named = false
    for (let at = 0; at < own && !named; at += 2) named = fields[at] === name
    if (!named) fields.push(name, value)
  }
}

/** Something that content comes from, and that is told when nobody reads any more. */
interface Source {
  next(): Promise<{ readonly done?: boolean | undefined; readonly value?: Uint8Array | string | undefined }>
  cancel(): void
}

function sourceOf(body: Readable | WebStream<Uint8Array>): Source {
  if (body instanceof Readable) {
    const chunks = body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array | string, undefined>
    return { next: () => chunks.next(), cancel: () => void body.on('error', ignore).destroy() }
  }
  const reader = body.getReader()
  return { next: () => reader.read(), cancel: () => void reader.cancel().catch(ignore) }
}

/** What is there at once goes out whole, with its length; what takes time goes out as it comes. */
async function pump(exchange: Exchange, status: number, headers: string[], source: Source, streaming: () => void): Promise<void> {
  const gone = new Promise<undefined>((resolve) => exchange.onClose(() => resolve(undefined)))
  try {
    const first = source.next()
    let chunk = await Promise.race([first, soon()])
    if (chunk !== undefined && chunk.value === undefined) return exchange.send(status, headers, '')
    let next = chunk === undefined ? first : source.next()
    if (chunk?.value !== undefined && (await Promise.race([next, soon()]))?.done === true)
      return exchange.send(status, headers, chunk.value)
    if (exchange.answered) return
    const out = exchange.begin(status, headers)
    // It has no content, and a source may have no end.
    if (exchange.method === 'HEAD') return void out.end()
    streaming()
    if (chunk?.value !== undefined) await Promise.race([write(out, chunk.value), gone])
    for (;;) {
      chunk = await Promise.race([next, gone])
      if (chunk === undefined) return
      if (chunk.value === undefined) return void out.end()
      await Promise.race([write(out, chunk.value), gone])
      next = source.next()
    }
  } finally {
    source.cancel()
  }
}

function soon(): Promise<undefined> {
  return new Promise((resolve) => setImmediate(resolve, undefined))
}

function write(out: Writable, chunk: Uint8Array | string): Promise<void> | undefined {
  if (out.write(chunk)) return undefined
  return new Promise((resolve) => out.once('drain', resolve))
}

function ignore(): void {}
