/** What HTTP/2 needs beside what it shares with HTTP/1.1: streams that end both ways, and connections that nobody reads from. */
import {
  connect as connectH2,
  constants,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type SecureClientSessionOptions,
} from 'node:http2'
import { request as nodeRequest } from 'node:https'
import { Readable } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { guard, type AuditEvent } from '@portcullis/core'
import { secureClientOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { json, serve, type Handler, type Listener, type ListenerOptions } from './index.ts'
import { tokens } from './service.test-support.ts'

let tls: DevelopmentTls
let events: AuditEvent[] = []
const open: Listener[] = []
const sessions: ClientHttp2Session[] = []

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(() => {
  events = []
})
afterEach(async () => {
  for (const session of sessions.splice(0)) session.destroy()
  await Promise.all(open.splice(0).map((listener) => listener.close({ graceMs: 0 })))
})
afterAll(() => tls.close())

async function start(options: Partial<ListenerOptions>, handler: Handler): Promise<Listener> {
  const audited = guard({ authenticate: tokens, audit: (event) => events.push(event) })
  const listener = await serve({ tls, guard: audited, port: 0, ...options } as ListenerOptions, handler)
  open.push(listener)
  return listener
}

function sessionTo(listener: Listener, options: SecureClientSessionOptions = {}): ClientHttp2Session {
  const session = connectH2(listener.origin, { ...secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }), ...options })
  session.on('error', () => undefined)
  sessions.push(session)
  return session
}

function post(session: ClientHttp2Session, headers: Record<string, string> = {}): ClientHttp2Stream {
  return session
    .request({ ':method': 'POST', authorization: 'Bearer alice', ...headers }, { endStream: false })
    .on('error', () => undefined)
}

/** The answer, once the stream has closed. */
function closed(stream: ClientHttp2Stream): Promise<{ status: number; text: string; code: number }> {
  let status = 0
  let text = ''
  stream.on('response', (fields) => (status = Number(fields[':status'])))
  stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  return new Promise((resolve) => stream.on('close', () => resolve({ status, text, code: stream.rstCode })))
}

const opened = (listener: Listener): Promise<number> =>
  new Promise((resolve, reject) => listener.server.getConnections((error, count) => (error ? reject(error) : resolve(count))))
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

describe('a connection on which nothing moves', () => {
  it('is ended though an answer waits on it for a peer that does not read', async () => {
    const listener = await start({ timeouts: { idleMs: 100 } }, () => json({ never: 'read' }))
    const session = sessionTo(listener, { settings: { initialWindowSize: 0 } })
    const stream = session.request({ authorization: 'Bearer alice' }).on('error', () => undefined)
    await new Promise((resolve) => stream.once('response', resolve))
    await new Promise((resolve) => session.once('close', resolve))
    expect(await opened(listener)).toBe(0)
  })

  it('goes on for an answer that has nothing to say, without those that the peer does not read', async () => {
    const quiet = new Readable({ read: () => undefined })
    quiet.push('1')
    const large = new Readable({ read: () => undefined })
    large.push('x'.repeat(200_000))
    const listener = await start({ timeouts: { idleMs: 100 } }, (request) => ({ body: request.url.endsWith('/quiet') ? quiet : large }))
    const session = sessionTo(listener)
    const kept = session.request({ ':path': '/quiet', authorization: 'Bearer alice' })
    const whole = closed(kept)
    await new Promise((resolve) => kept.once('data', resolve))
    const unread = session.request({ ':path': '/unread', authorization: 'Bearer alice' }).on('error', () => undefined)
    await new Promise((resolve) => unread.once('close', resolve))
    expect(unread.rstCode).not.toBe(0)
    await pause(300)
    quiet.push('2')
    quiet.push(null)
    expect(await whole).toEqual({ status: 200, text: '12', code: 0 })
  })

  it('is ended though the peer has taken its leave and keeps the socket', async () => {
    const listener = await start({ timeouts: { idleMs: 100 } }, () => json({}))
    const options = { ...secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }), port: listener.port, allowHalfOpen: true }
    const socket = connectTls(options)
    socket.on('error', () => undefined).resume()
    // The preface, empty SETTINGS, and GOAWAY (RFC 9113 sections 3.4, 6.5, 6.8).
    const goAway = Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]), goAway]))
    await expect.poll(() => opened(listener)).toBe(1)
    await expect.poll(() => opened(listener), { timeout: 3_000 }).toBe(0)
    socket.destroy()
  })
})

it.each(['delete', 'Get'])('a method that is written as %s is refused before it is judged', async (method) => {
  let handled = 0
  const listener = await start({}, () => json({ handled: ++handled }))
  const stream = sessionTo(listener).request({ ':method': method, authorization: 'Bearer alice' })
  expect(await closed(stream)).toMatchObject({ status: 501 })
  expect([handled, events.filter((event) => event.type === 'decision')]).toEqual([0, []])
})

describe('content that does not come', () => {
  const timeouts = { fieldsMs: 100, requestMs: 200 }

  it('is 408 after the time for a request, and the stream is closed', async () => {
    let failure: unknown
    const listener = await start({ timeouts }, async (request) => {
      await request.text().catch((error: unknown) => (failure = error))
      return json({})
    })
    const stream = post(sessionTo(listener))
    stream.write('some')
    expect(await closed(stream)).toMatchObject({ status: 408 })
    expect(events.flatMap((event) => ('code' in event ? [event.code] : []))).toContain('ERR_HTTP_REQUEST_TIMEOUT')
    await expect.poll(() => failure).toBeInstanceOf(Error)
  })

  it('ends an answer that has begun', async () => {
    const listener = await start({ timeouts }, () => ({ body: new Readable({ read: () => undefined }) }))
    const stream = post(sessionTo(listener))
    const { status, code } = await closed(stream)
    expect(status).toBe(200)
    expect(code).not.toBe(0)
  })

  it('is not what an answer that takes its time waits for', async () => {
    const listener = await start({ timeouts: { fieldsMs: 50, requestMs: 100 } }, async (request) => {
      const text = await request.text()
      await pause(400)
      return json({ text })
    })
    const stream = post(sessionTo(listener))
    stream.end('all')
    expect(await closed(stream)).toEqual({ status: 200, text: '{"text":"all"}', code: 0 })
  })
})

describe('content that the handler does not read to its end', () => {
  const partly: Handler = async (request) => {
    const reader = request.body?.getReader()
    const first = await reader?.read()
    return json({ first: first?.value?.length })
  }

  it.each([
    ['unannounced', partly, {}],
    ['announced and large', partly, { 'content-length': '900000' }],
    ['not looked at', () => json({ first: 5 }), {}],
    [
      'not looked at by a handler written for Node',
      { requestListener: (_request, response) => void response.end('{"first":5}') },
      {},
    ] satisfies [string, Handler, object],
  ] as const)('is not waited for: %s', async (_, handler, headers) => {
    const listener = await start({}, handler as Handler)
    const stream = post(sessionTo(listener), headers)
    stream.write('12345')
    expect(await closed(stream)).toEqual({ status: 200, text: '{"first":5}', code: constants.NGHTTP2_NO_ERROR })
  })

  it.each([
    ['a fetch handler', partly],
    ['a handler written for Node', { requestListener: (_request, response) => void response.end('{"first":5}') }],
  ] as [string, Handler][])('is dropped by %s if it is small and announced', async (_, handler) => {
    let over = false
    const listener = await start({}, handler)
    listener.server.on('stream', (stream) => stream.once('close', () => (over = true)))
    const stream = post(sessionTo(listener), { 'content-length': '40005' })
    stream.write('12345')
    await new Promise((resolve) => stream.once('response', resolve))
    stream.end('x'.repeat(40_000))
    expect(await closed(stream)).toMatchObject({ code: 0 })
    await expect.poll(() => over).toBe(true)
  })

  it.each([
    ['reads on', 0],
    ['begins to read', 200],
  ])('fails for who %s after the answer', async (_, afterMs) => {
    const rest = Promise.withResolvers<unknown>()
    const listener = await start({}, (request) => {
      const read = (): void => rest.resolve(request.text().catch((error: unknown) => error))
      if (afterMs === 0) read()
      else setTimeout(read, afterMs)
      return json({})
    })
    const stream = post(sessionTo(listener))
    stream.write('12345')
    await closed(stream)
    expect(await rest.promise).toBeInstanceOf(Error)
  })

  it.each(['http/1.1', 'h2'] as const)('may be cancelled while a read is pending, and answered, over %s', async (version) => {
    const listener = await start({}, async (request) => {
      const reader = request.body?.getReader()
      const pending = reader?.read()
      await reader?.cancel()
      return json({ pending: (await pending)?.done })
    })
    if (version === 'h2') {
      expect(await closed(post(sessionTo(listener)))).toMatchObject({ status: 200, text: '{"pending":true}' })
      return
    }
    const text = await new Promise((resolve, reject) => {
      const outgoing = nodeRequest(
        {
          ...secureClientOptions(tls.client, { host: 'localhost' }),
          port: listener.port,
          method: 'POST',
          headers: { authorization: 'Bearer alice', 'content-length': '10' },
          agent: false,
        },
        (incoming) => incoming.on('data', (chunk: Buffer) => resolve(chunk.toString())),
      )
      outgoing.on('error', reject).write('12345')
    })
    expect(text).toBe('{"pending":true}')
  })

  describe('because the peer is gone', () => {
    /** What a handler comes to that reads everything. */
    async function reading(): Promise<{ readonly listener: Listener; readonly got: Promise<unknown> }> {
      const got = Promise.withResolvers<unknown>()
      const listener = await start({}, async (request) => {
        got.resolve(request.text().catch((error: unknown) => error))
        await got.promise
        return json({})
      })
      return { listener, got: got.promise }
    }

    it.each([constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_CANCEL])('is not taken for whole after a reset with %i', async (code) => {
      const { listener, got } = await reading()
      // Node's client would first end its side properly: frames by hand.
      const socket = connectTls({ ...secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }), port: listener.port })
      socket.on('error', () => undefined).resume()
      const named = { ':method': 'POST', ':scheme': 'https', ':path': '/', ':authority': 'localhost', authorization: 'Bearer alice' }
      socket.write(
        Buffer.concat([
          Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
          frame(4, 0, 0),
          frame(1, 4, 1, literals(named)),
          frame(0, 0, 1, Buffer.from('begin')),
        ]),
      )
      await pause(100)
      socket.write(frame(3, 0, 1, Buffer.from([0, 0, 0, code])))
      expect(await got).toBeInstanceOf(Error)
      socket.destroy()
    })

    it('is not taken for whole after the end of the session', async () => {
      const { listener, got } = await reading()
      const session = sessionTo(listener)
      post(session).write('begin')
      await pause(100)
      session.destroy()
      expect(await got).toBeInstanceOf(Error)
    })
  })
})

/** RFC 9113 section 4.1. */
function frame(type: number, flags: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from([0, payload.length >> 8, payload.length & 255, type, flags, 0, 0, 0, stream]), payload])
}

/** Literals without indexing and without compression (RFC 7541 section 6.2.2). */
function literals(named: Readonly<Record<string, string>>): Buffer {
  return Buffer.concat(
    Object.entries(named).flatMap(([name, value]) => [
      Buffer.from([0, name.length]),
      Buffer.from(name),
      Buffer.from([value.length]),
      Buffer.from(value),
    ]),
  )
}
