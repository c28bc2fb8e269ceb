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

/** JSON as {@link Reply}. */
export function json(value: unknown, init: { readonly status?: number; readonly headers?: Reply['headers'] } = {}): Reply {
  return { status: init.status ?? 200, headers: { 'content-type': 'application/json', ...init.headers }, body: JSON.stringify(value) }
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
  streaming: (abort: () => void) => void,
): Promise<void> {
  const status = answer.status ?? 200
  const headers = isResponse(answer) ? fieldsOfResponse(answer.headers) : fieldsOfReply(answer.headers)
  withDefaults(headers, defaults)
  if (added.length > 0) headers.push(...added)
  const body: Reply['body'] | null = answer.body as Reply['body'] | null
  if (body === undefined || body === null || hasNoContent(status)) exchange.send(status, headers, '')
  else if (typeof body === 'string' || body instanceof Uint8Array) exchange.send(status, headers, body)
  else if (body instanceof Readable) await pump(exchange, status, headers, body[Symbol.asyncIterator](), streaming)
  else await pump(exchange, status, headers, body[Symbol.asyncIterator](), streaming)
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

function fieldsOfResponse(headers: Headers): string[] {
  const fields: string[] = []
  headers.forEach((value, name) => {
    if (name !== 'set-cookie') fields.push(name, value)
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

type Chunks = AsyncIterator<Uint8Array | string, unknown, undefined>

/** What is there at once goes out whole, with its length; what takes time goes out as it comes. */
async function pump(
  exchange: Exchange,
  status: number,
  headers: readonly string[],
  chunks: Chunks,
  streaming: (abort: () => void) => void,
): Promise<void> {
  const first = await chunks.next()
  if (first.done === true) return exchange.send(status, headers, '')
  let next = chunks.next()
  const second = await Promise.race([next, soon()])
  if (second?.done === true) return exchange.send(status, headers, first.value)
  let ended = false
  const gone = new Promise<undefined>((resolve) => exchange.onClose(() => resolve(undefined)))
  const out = exchange.begin(status, headers)
  streaming(() => (ended = true))
  try {
    await write(out, first.value)
    while (true) {
      const chunk = await Promise.race([next, gone])
      if (chunk === undefined || ended || exchange.finished) break
      if (chunk.done === true) return void out.end()
      await Promise.race([write(out, chunk.value), gone])
      next = chunks.next()
    }
  } finally {
    // The source is told that nobody reads any more; how it ends is its own affair.
    void Promise.resolve(chunks.return?.()).catch(ignore)
    void next.catch(ignore)
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
