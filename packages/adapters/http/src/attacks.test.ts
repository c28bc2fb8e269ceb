import { connect as connectH2, constants } from 'node:http2'
import { connect as connectTcp } from 'node:net'
import { Readable } from 'node:stream'
import { connect as connectTls } from 'node:tls'
import { authenticator, everyone, guard, vouchForPrincipal, type AuditEvent } from '@portcullis/core'
import { secureClientOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { json, serve, type Handler, type Listener, type ListenerOptions } from './index.ts'
import { ask, raw, statusOf, tokens } from './service.test-support.ts'

let tls: DevelopmentTls
let events: AuditEvent[] = []
let handled = 0
const open: Listener[] = []

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(() => {
  events = []
  handled = 0
})
afterEach(() => Promise.all(open.splice(0).map((listener) => listener.close({ graceMs: 0 }))))
afterAll(() => tls.close())

const audited = guard({ authenticate: tokens, audit: (event) => events.push(event) })
const counting: Handler = async (request) => {
  handled++
  return json({ length: (await request.arrayBuffer()).byteLength })
}

async function start(options: Partial<ListenerOptions> = {}, handler: Handler = counting): Promise<Listener> {
  const listener = await serve({ tls, guard: audited, port: 0, ...options } as ListenerOptions, handler)
  open.push(listener)
  return listener
}

const authorization = 'Authorization: Bearer alice'
const as = { authorization: 'Bearer alice' }
const codes = (): unknown[] => events.map((event) => ('code' in event ? event.code : undefined))

describe('a target that can be read in two ways', () => {
  it.each([
    ['an encoded slash', '/a%2Fb'],
    ['an encoded backslash', '/a%5cb'],
    ['a backslash', '/a\\b'],
    ['a double encoded slash', '/a%252fb'],
    ['a dot segment', '/a/../b'],
    ['a dot segment at the end', '/a/..'],
    ['a single dot', '/a/./b'],
    ['an encoded dot segment', '/a/%2e%2E/b'],
    ['a half encoded dot segment', '/a/.%2e/b'],
    ['two slashes', '//a'],
    ['two slashes inside', '/a//b'],
    ['NUL', '/a%00'],
    ['a line feed', '/a%0ab'],
    ['a broken escape', '/a%zz'],
    ['an escape cut short', '/a%2'],
    ['a fragment', '/a#b'],
    ['the absolute form', 'https://localhost/a'],
    ['no slash', 'a'],
    ['a method override', '/a?x=1&_method=DELETE'],
    ['an encoded method override', '/a?%5fmethod=DELETE'],
  ])('is 400 for %s', async (_, target) => {
    const { port } = await start()
    const text = await raw(port, tls.client, `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\nConnection: close\r\n\r\n`)
    expect(statusOf(text)).toBe(400)
    expect(handled).toBe(0)
  })

  it.each(['/a%20b', '/a.b', '/a/...', '/.well-known/x', '/%C3%BC', '/a?b=//../%2f', '/a?payment_method=card'])(
    'is not %s',
    async (path) => {
      const { port } = await start()
      expect((await ask(port, tls.client, { path, headers: as })).status).toBe(200)
    },
  )

  it('is 400 over HTTP/2 too', async () => {
    const { origin } = await start()
    const session = connectH2(origin, secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }))
    const status = await new Promise((resolve) =>
      session.request({ ':path': '/a%2fb', ...as }).on('response', (headers) => resolve(headers[':status'])),
    )
    session.destroy()
    expect(status).toBe(400)
  })

  it.each(['X-HTTP-Method-Override', 'x-http-method', 'X-Method-Override'])('is 400 for %s', async (name) => {
    const { port } = await start()
    expect((await ask(port, tls.client, { headers: { ...as, [name]: 'DELETE' } })).status).toBe(400)
    expect(codes()).toEqual(['ERR_HTTP_METHOD_OVERRIDE'])
  })
})

describe('too much', () => {
  it('of a target is 414', async () => {
    const { port } = await start({ limits: { maxTargetLength: 64 } })
    expect((await ask(port, tls.client, { path: `/${'a'.repeat(64)}`, headers: as })).status).toBe(414)
    expect((await ask(port, tls.client, { path: `/${'a'.repeat(63)}`, headers: as })).status).toBe(200)
  })

  it('of fields is 431, with an event', async () => {
    const { port } = await start({ limits: { maxFieldsBytes: 2048 } })
    const text = await raw(port, tls.client, `GET / HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\nX-Big: ${'a'.repeat(8000)}\r\n\r\n`)
    expect(statusOf(text)).toBe(431)
    expect(text).toContain('application/problem+json')
    expect(codes()).toEqual(['ERR_HTTP_FIELDS_TOO_LARGE'])
  })

  it('of announced content is 413 before it is sent, and small content passes', async () => {
    const { port } = await start({ limits: { maxContentBytes: 10 } })
    const text = await raw(port, tls.client, `POST / HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\nContent-Length: 11\r\n\r\n`)
    expect(statusOf(text)).toBe(413)
    expect(handled).toBe(0)
    expect((await ask(port, tls.client, { method: 'POST', headers: as, body: '0123456789' })).text).toBe('{"length":10}')
  })

  it('of unannounced content is 413 when it is too much', async () => {
    const { port } = await start({ limits: { maxContentBytes: 10 } })
    const head = `POST / HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\nTransfer-Encoding: chunked\r\n\r\n`
    expect(statusOf(await raw(port, tls.client, `${head}5\r\n01234\r\n5\r\n56789\r\n0\r\n\r\n`))).toBe(200)
    expect(statusOf(await raw(port, tls.client, `${head}5\r\n01234\r\n6\r\n567890\r\n`))).toBe(413)
  })

  it('of content over HTTP/2 is 413', async () => {
    const { origin } = await start({ limits: { maxContentBytes: 10 } })
    const session = connectH2(origin, secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }))
    const post = (body: string, announced: boolean): Promise<unknown> =>
      new Promise((resolve) => {
        const stream = session.request({ ':method': 'POST', ...as, ...(announced && { 'content-length': String(body.length) }) })
        stream.on('response', (headers) => resolve(headers[':status'])).on('error', () => undefined)
        stream.resume().end(body)
      })
    expect(await post('01234567890', true)).toBe(413)
    expect(await post('01234567890', false)).toBe(413)
    expect(await post('0123456789', false)).toBe(200)
    session.destroy()
  })

  it('of content for a handler that is written for Node is 413 too', async () => {
    const { port } = await start(
      { limits: { maxContentBytes: 10 } },
      { requestListener: (request, response) => void request.on('data', () => undefined).on('end', () => response.end('read')) },
    )
    const head = `POST / HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\nTransfer-Encoding: chunked\r\n\r\n`
    const text = await raw(port, tls.client, `${head}5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n`)
    expect(statusOf(text)).toBe(413)
    expect(text).not.toContain('read')
  })

  it('of content does not hurt who answers all the same', async () => {
    const { port } = await start(
      { limits: { maxContentBytes: 10 } },
      { requestListener: (request, response) => void request.on('data', () => setTimeout(() => response.end('read'), 50)) },
    )
    const head = `POST / HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\nTransfer-Encoding: chunked\r\n\r\n`
    expect(statusOf(await raw(port, tls.client, `${head}5\r\n01234\r\n6\r\n567890\r\n0\r\n\r\n`))).toBe(413)
  })

  it('of streams at a time is refused by the connection', async () => {
    const { origin } = await start({ limits: { maxStreams: 2 } }, () => new Promise(() => undefined))
    const session = connectH2(origin, secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }))
    await new Promise((resolve) => session.once('remoteSettings', resolve))
    expect(session.remoteSettings.maxConcurrentStreams).toBe(2)
    session.destroy()
  })

  it('of a credential is malformed', async () => {
    const { port } = await start({ limits: { maxFieldsBytes: 65_536 } })
    expect((await ask(port, tls.client, { headers: { authorization: `Bearer ${'a'.repeat(20_000)}` } })).status).toBe(400)
  })
})

describe('content with a request that is refused', () => {
  it('is not asked for: no 100 before the guard has allowed', async () => {
    const { port } = await start()
    const head = (token: string): string =>
      `POST / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n`
    expect(await raw(port, tls.client, head('mallory'))).toMatch(/^HTTP\/1\.1 401/)
    expect(await raw(port, tls.client, head('alice'))).toMatch(/^HTTP\/1\.1 100/)
  })

  it('does not keep the connection when it is large', async () => {
    const { port } = await start({ limits: { maxContentBytes: 1_000_000 } })
    const text = await raw(
      port,
      tls.client,
      `POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 900000\r\n\r\n${'a'.repeat(1000)}`,
      2_000,
    )
    expect(statusOf(text)).toBe(401)
  })
})

describe('a slow peer', () => {
  it('that never ends its fields is told so and cut off', async () => {
    const { port } = await start({ timeouts: { fieldsMs: 100, requestMs: 200 } })
    const began = Date.now()
    const text = await raw(port, tls.client, 'GET / HTTP/1.1\r\nHost: local', 10_000)
    expect(statusOf(text)).toBe(408)
    expect(Date.now() - began).toBeLessThan(4_000)
  })

  it('that never ends its content is cut off', async () => {
    const { port } = await start({ timeouts: { fieldsMs: 100, requestMs: 200 } })
    const began = Date.now()
    await raw(port, tls.client, `POST / HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\nContent-Length: 5\r\n\r\n01`, 10_000)
    expect(Date.now() - began).toBeLessThan(4_000)
  })

  it('that says nothing any more is let go', async () => {
    const { port } = await start({ timeouts: { idleMs: 100 } })
    const began = Date.now()
    await raw(port, tls.client, `GET / HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\n\r\n`, 10_000)
    expect(Date.now() - began).toBeLessThan(4_000)
  })

  it('that does not read an answer is let go, and one whose answer is silent is not', async () => {
    const [quiet, large] = [new Readable({ read: () => undefined }), new Readable({ read: () => undefined })]
    quiet.push('1')
    large.push('x'.repeat(20_000_000))
    const { port } = await start({ timeouts: { idleMs: 100 } }, (request) => ({ body: request.url.endsWith('/quiet') ? quiet : large }))
    const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\n\r\n`
    const heard = raw(port, tls.client, get('/quiet'), 1_000)
    const deaf = connectTls({ ...secureClientOptions(tls.client, { host: 'localhost', alpn: ['http/1.1'] }), port })
    deaf.on('error', () => undefined).write(get('/large'))
    await expect.poll(() => large.destroyed, { timeout: 5_000 }).toBe(true)
    deaf.destroy()
    await new Promise((resolve) => setTimeout(resolve, 400))
    quiet.push('2')
    quiet.push(null)
    expect(await heard).toContain('\r\n1\r\n2\r\n0\r\n')
  })

  it('over HTTP/2 is let go', async () => {
    const { origin } = await start({ timeouts: { idleMs: 100 } })
    const session = connectH2(origin, secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }))
    await new Promise((resolve) => session.once('close', resolve))
    expect(session.destroyed).toBe(true)
  })
})

describe('bytes that are no request', () => {
  it.each([
    ['words', 'hello\r\n\r\n'],
    ['two lengths', `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab`],
    ['a length and chunks', `POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
    ['no host', `GET / HTTP/1.1\r\n\r\n`],
    ['a field with a space', `GET / HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer alice\r\n\r\n`],
    ['a bare line feed in a field', `GET / HTTP/1.1\r\nHost: a\r\nX: a\nAuthorization: Bearer alice\r\n\r\n`],
  ])('are 400: %s', async (_, bytes) => {
    const { port } = await start()
    expect(statusOf(await raw(port, tls.client, bytes))).toBe(400)
    expect(handled).toBe(0)
  })

  it('in clear are no request at all', async () => {
    const { port } = await start()
    const text = await new Promise<string>((resolve) => {
      let seen = ''
      connectTcp(port, '127.0.0.1')
        .on('data', (data) => (seen += data.toString('latin1')))
        .on('error', () => undefined)
        .on('close', () => resolve(seen))
        .write(`GET / HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\n\r\n`)
    })
    expect(text).not.toContain('HTTP/1.1 200')
    await new Promise((resolve) => setImmediate(resolve))
    expect(events.some((event) => event.type === 'handshakeRefused')).toBe(true)
  })

  it('as an upgrade that nobody takes are refused', async () => {
    const { port } = await start()
    expect(
      statusOf(
        await raw(
          port,
          tls.client,
          `GET /ws HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
        ),
      ),
    ).toBe(404)
    expect(handled).toBe(0)
  })
})

describe('a second credential', () => {
  const carriers = { headers: { 'x-api-key': 'apiKey' }, cookies: { session: 'bearer' } } as const

  it('of the same kind in another place is refused', async () => {
    const { port } = await start({ carriers })
    expect((await ask(port, tls.client, { headers: { cookie: 'a=b; session=alice' } })).status).toBe(200)
    expect((await ask(port, tls.client, { headers: { ...as, cookie: 'session=alice' } })).status).toBe(400)
    expect((await ask(port, tls.client, { headers: { cookie: 'session=alice; session=bob' } })).status).toBe(400)
    expect((await ask(port, tls.client, { headers: { cookie: 'session=' } })).status).toBe(400)
  })

  it('in a place that was not named is none', async () => {
    const { port } = await start()
    expect((await ask(port, tls.client, { headers: { cookie: 'session=alice', 'x-api-key': 'alice' } })).status).toBe(401)
  })

  it('of a cookie from another site does not count for what changes something', async () => {
    const { port, origin } = await start({ carriers })
    const post = async (headers: Record<string, string>): Promise<number> =>
      (await ask(port, tls.client, { method: 'POST', headers: { cookie: 'session=alice', ...headers } })).status
    expect(await post({ 'sec-fetch-site': 'cross-site' })).toBe(400)
    expect(await post({ 'sec-fetch-site': 'same-site' })).toBe(400)
    expect(await post({ origin: 'https://evil.example' })).toBe(400)
    expect(await post({ origin: 'null' })).toBe(400)
    expect(await post({ 'sec-fetch-site': 'same-origin' })).toBe(200)
    expect(await post({ origin })).toBe(200)
    expect(await post({})).toBe(200)
    expect((await ask(port, tls.client, { headers: { cookie: 'session=alice', 'sec-fetch-site': 'cross-site' } })).status).toBe(200)
  })
})

it('a request whose peer has gone while it was judged is not handled', async () => {
  const [asked, judged] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const slow = authenticator('slow', async () => {
    asked.resolve()
    await judged.promise
    return vouchForPrincipal({ issuer: 'tests', subject: 'alice' })
  })
  const { port } = await start({ guard: guard({ authenticate: slow }) as never })
  const socket = connectTls({ ...secureClientOptions(tls.client, { host: 'localhost', alpn: ['http/1.1'] }), port })
  socket.write(`GET / HTTP/1.1\r\nHost: localhost\r\n${authorization}\r\n\r\n`)
  await asked.promise
  socket.destroy()
  await new Promise((resolve) => setTimeout(resolve, 50))
  judged.resolve()
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(handled).toBe(0)
})

describe('a stream that is reset at once', () => {
  it('leaves the listener serving', async () => {
    const listener = await start(
      { guard: guard({ authenticate: everyone() }) as never },
      { requestListener: (_request, response) => void setTimeout(() => response.end('late'), 20) },
    )
    const session = connectH2(listener.origin, secureClientOptions(tls.client, { host: 'localhost', alpn: ['h2'] }))
    for (let at = 0; at < 50; at++)
      session
        .request({ ':path': '/' })
        .on('error', () => undefined)
        .close(constants.NGHTTP2_CANCEL)
    await new Promise((resolve) => setTimeout(resolve, 100))
    session.destroy()
    expect((await ask(listener.port, tls.client)).status).toBe(200)
  })
})
