import { connect as connectSecure } from 'node:tls'
import { authenticator, guard, scope, vouchForPrincipal, type AuditEvent } from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { json, serve as serveHttp } from '@portcullis/http'
import { secureClientOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { anyOrigin } from './danger.ts'
import { serve, sessionProtocol, websocket, type EndpointOptions, type WebSocketListener } from './index.ts'
import { gate, handshake, open, raw, revocations, tokens, until } from './service.test-support.ts'

let tls: DevelopmentTls
let listener: WebSocketListener | undefined
let events: AuditEvent[] = []
let clock = manualClock(Date.now())
const policy = () =>
  guard({ authenticate: tokens(() => clock.now()), authorize: scope('orders:read'), clock, audit: (event) => events.push(event) })
const codes = (): (string | undefined)[] => events.map((event) => ('code' in event ? event.code : undefined))

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(() => {
  events = []
  clock = manualClock(Date.now())
  revocations.clear()
  gate.open = Promise.resolve()
})
afterEach(() => listener?.close())
afterAll(() => tls.close())

/** A listener that says who came and echoes. */
async function greeting(
  options: Partial<EndpointOptions> & { readonly carriers?: { readonly cookies: Record<string, 'bearer'> } } = {},
): Promise<WebSocketListener> {
  listener = await serve({ tls, guard: policy(), port: 0, ...options }, (socket, principal) => {
    socket.send(`hello ${principal.subject}`)
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  return listener
}
const ask = async (fields: Record<string, string | undefined>, path?: string): Promise<string> =>
  raw((await (listener ?? greeting())).port, tls.client, handshake(fields, path))
const status = (answer: string): number => Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1])

describe('an upgrade', () => {
  afterEach(() => (listener = undefined))

  it.each([
    ['nothing', {}, 401],
    ['an unknown token', { Authorization: 'Bearer mallory' }, 401],
    ['too little scope', { Authorization: 'Bearer bob' }, 403],
    ['an outage', { Authorization: 'Bearer down' }, 503],
    ['a fault', { Authorization: 'Bearer broken' }, 500],
    ['what cannot be read', { Authorization: 'Bearer a b' }, 400],
    ['another scheme', { Authorization: 'Basic YWxpY2U6c2VjcmV0' }, 401],
  ] as const)('with %s is refused with %s, closes, and was never a WebSocket', async (_, fields, expected) => {
    await greeting()
    const answer = await ask(fields)
    expect(status(answer)).toBe(expected)
    expect(answer.toLowerCase()).toContain('connection: close')
    expect(answer).not.toMatch(/ 101 |sec-websocket-accept|secret details/i)
    if (expected === 401) expect(answer.toLowerCase()).toContain('www-authenticate: bearer realm="tests"')
    expect(events.filter(({ type }) => type === 'decision')).toHaveLength(1)
  })

  it('is answered with 101 for whom the guard allows, and judged as what it is', async () => {
    const { port } = await greeting()
    const peer = await open(port, tls.client, '/', { token: 'alice' })
    await until(() => peer.messages.length === 1)
    expect(peer.messages).toEqual(['hello alice'])
    expect(events).toMatchObject([{ outcome: 'allow', action: 'GET', resource: '/', protocol: 'wss', secure: true }])
  })

  it('takes no credential from the URL', async () => {
    await greeting()
    expect(status(await ask({}, '/?access_token=alice&token=alice'))).toBe(401)
    expect(events).toMatchObject([{ reason: 'missing', credentials: [] }])
  })

  it.each([
    ['no key', { 'Sec-WebSocket-Key': undefined }],
    ['a key that is none', { 'Sec-WebSocket-Key': 'short' }],
    ['another version', { 'Sec-WebSocket-Version': '7' }],
    ['sub-protocols that are none', { 'Sec-WebSocket-Protocol': 'a,,b' }],
    ['the same sub-protocol twice', { 'Sec-WebSocket-Protocol': 'a, a' }],
  ])('with %s is refused, and does not count as a connection', async (_, fields) => {
    await greeting({ limits: { maxConnectionsPerPrincipal: 1 } })
    expect(status(await ask({ Authorization: 'Bearer alice', ...fields }))).toBe(400)
    expect(status(await ask({ Authorization: 'Bearer alice' }))).toBe(101)
  })

  it('that nobody else speaks is told what is spoken here', async () => {
    await greeting()
    expect(status(await ask({ Authorization: 'Bearer alice', Connection: 'close', Upgrade: undefined }))).toBe(426)
    expect(status(await ask({ Connection: 'close', Upgrade: undefined }))).toBe(401)
  })

  it('carries the nonce that the guard advises', async () => {
    const advising = authenticator('advising', () => ({
      proven: vouchForPrincipal({ issuer: 'tests', subject: 'alice' }),
      advice: { nonce: 'n-1' },
    }))
    listener = await serve({ tls, guard: guard({ authenticate: advising }), port: 0 }, () => undefined)
    expect(await ask({})).toMatch(/101 Switching[^]*DPoP-Nonce: n-1\r\n/)
  })

  it('on a listener of HTTP leaves its requests alone', async () => {
    const own = guard({ authenticate: tokens(), authorize: scope('orders:read') })
    const server = await serveHttp({ tls, guard: own, port: 0 }, () => json({ plain: true }))
    const endpoint = websocket({ server, path: '/feed', guard: own }, (socket) => socket.send('feed'))
    expect(endpoint.url).toBe(`wss://localhost:${server.port}/feed`)
    const peer = await open(server.port, tls.client, '/feed', { token: 'alice' })
    await until(() => peer.messages.length === 1)
    expect(await raw(server.port, tls.client, 'GET / HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alice\r\n\r\n')).toContain(
      '"plain":true',
    )
    await server.close({ graceMs: 2_000 })
    expect(await peer.closed).toBe('1001 shutdown')
  })

  it('that is judged too slowly is refused, within a bound', async () => {
    await greeting({ limits: { handshakeMs: 500 } })
    gate.open = new Promise(() => undefined)
    const answer = ask({ Authorization: 'Bearer slow' })
    await until(() => clock.pending > 0)
    clock.advance(500)
    expect(status(await answer)).toBe(503)
    expect(codes()).toContain('ERR_WEBSOCKET_HANDSHAKE_TIMEOUT')
  })

  it('whose peer has gone while it was judged opens nothing', async () => {
    const { port, sockets } = await greeting()
    const opened = Promise.withResolvers<void>()
    gate.open = opened.promise
    const wire = connectSecure({ ...secureClientOptions(tls.client, { host: 'localhost' }), port })
    wire.write(handshake({ Authorization: 'Bearer slow' }))
    await until(() => clock.pending > 0)
    wire.destroy()
    await new Promise((resolve) => setTimeout(resolve, 30))
    opened.resolve()
    await until(() => events.length > 0)
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(sockets.size).toBe(0)
  })

  it('brings its first bytes along', async () => {
    await greeting()
    // A masked text frame "hi" in the same packet as the handshake.
    const frame = String.fromCharCode(0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69)
    const answer = await raw((listener as WebSocketListener).port, tls.client, handshake({ Authorization: 'Bearer alice' }) + frame)
    expect(answer).toMatch(/ 101 [^]*hello alice[^]*hi$/)
  })

  it('counts the connections of a principal', async () => {
    const { port } = await greeting({ limits: { maxConnectionsPerPrincipal: 2 } })
    const first = await open(port, tls.client, '/', { token: 'alice' })
    await open(port, tls.client, '/', { token: 'alice' })
    await expect(open(port, tls.client, '/', { token: 'alice' })).rejects.toThrow('429')
    expect(codes()).toContain('ERR_WEBSOCKET_CONNECTIONS')
    first.socket.close()
    await until(() => listener?.sockets.size === 1)
    await open(port, tls.client, '/', { token: 'alice' })
  })
})

describe('a browser', () => {
  afterEach(() => (listener = undefined))
  const own = (): string => `https://localhost:${listener?.port}`

  it('presents its token as a sub-protocol, which is not sent back', async () => {
    const { port } = await greeting({ protocols: ['orders.v2', 'orders.v1'] })
    const peer = await open(port, tls.client, '/', { protocols: ['bearer.alice', 'orders.v1', 'orders.v2'] })
    expect(peer.socket.protocol).toBe('orders.v2')
    expect(await ask({ 'Sec-WebSocket-Protocol': 'bearer.alice' })).toMatch(/ 101 (?![^]*bearer)/)
    expect(await ask({ 'Sec-WebSocket-Protocol': 'bearer.alice, unknown' })).not.toContain('unknown')
  })

  it.each([
    ['two tokens', 'bearer.alice, bearer.bob', 400],
    ['an empty token', 'bearer.', 400],
    ['a token that is refused', 'bearer.mallory', 401],
    ['no token but a name', 'bearer', 401],
  ])('with %s among its sub-protocols is refused', async (_, entries, expected) => {
    await greeting()
    const answer = await ask({ 'Sec-WebSocket-Protocol': entries })
    expect(status(answer)).toBe(expected)
    expect(answer).not.toContain('bearer.')
  })

  it('with a token in a field and one in a sub-protocol is refused', async () => {
    await greeting()
    expect(status(await ask({ Authorization: 'Bearer alice', 'Sec-WebSocket-Protocol': 'bearer.alice' }))).toBe(400)
  })

  it('comes from the listener’s own origin, or one that is named, and from no other', async () => {
    await greeting({ origins: ['https://shop.example'] })
    const from = (Origin: string): Promise<string> => ask({ Origin, Authorization: 'Bearer alice' })
    expect(status(await from(own()))).toBe(101)
    expect(status(await from('https://shop.example'))).toBe(101)
    for (const origin of [
      'https://evil.example',
      'http://shop.example',
      'https://shop.example.evil',
      'https://shop.example:444',
      'null',
      '',
    ])
      expect(status(await from(origin)), origin).toBe(403)
    expect(codes()).toContain('ERR_WEBSOCKET_ORIGIN')
    expect(events.filter(({ type }) => type === 'decision')).toHaveLength(2)
  })

  it('does not hide its origin behind the name that version 8 has for it', async () => {
    await greeting()
    const answer = await ask({
      'Sec-WebSocket-Version': '8',
      'Sec-WebSocket-Origin': 'https://evil.example',
      Authorization: 'Bearer alice',
    })
    expect(status(answer)).toBe(403)
  })

  it('has its cookie taken with an origin that is allowed, and never without one', async () => {
    await greeting({ carriers: { cookies: { session: 'bearer' } } })
    expect(status(await ask({ Cookie: 'session=alice', Origin: own() }))).toBe(101)
    expect(status(await ask({ Cookie: 'session=alice' }))).toBe(403)
    expect(status(await ask({ Cookie: 'session=alice', Origin: 'https://evil.example' }))).toBe(403)
    // Another cookie is no credential.
    expect(status(await ask({ Cookie: 'theme=dark', Authorization: 'Bearer alice' }))).toBe(101)
  })

  it('may come from anywhere if that was chosen; its cookie may not', async () => {
    await greeting({ carriers: { cookies: { session: 'bearer' } }, origins: anyOrigin })
    expect(status(await ask({ Authorization: 'Bearer alice', Origin: 'https://evil.example' }))).toBe(101)
    expect(status(await ask({ Cookie: 'session=alice', Origin: 'https://evil.example' }))).toBe(403)
    expect(status(await ask({ Cookie: 'session=alice', Origin: own() }))).toBe(101)
  })

  it('asks for session frames by a sub-protocol, which is selected where the application has none', async () => {
    const { port } = await greeting()
    const peer = await open(port, tls.client, '/', { protocols: [sessionProtocol, 'bearer.alice'] })
    expect(peer.socket.protocol).toBe(sessionProtocol)
    await until(() => peer.frames.length === 1)
    expect(peer.frames).toMatchObject([{ type: 'authenticated' }])
  })
})

describe('a first message', () => {
  afterEach(() => (listener = undefined))
  const unproven = (): ReturnType<typeof open> => open((listener as WebSocketListener).port, tls.client, '/')
  const profile = (limits: EndpointOptions['firstMessage'] = {}): Promise<WebSocketListener> => greeting({ firstMessage: limits })

  it('proves nobody unless that was chosen', async () => {
    await greeting()
    await expect(unproven()).rejects.toThrow('401')
  })

  it('proves who sends it; before it nothing is delivered, and afterwards everything', async () => {
    const { sockets } = await profile({ maxBytes: 1_000, withinMs: 5_000 })
    const peer = await unproven()
    await until(() => peer.frames.length === 1)
    expect(peer.frames).toEqual([{ type: 'authenticate' }])
    expect([sockets.size, peer.messages]).toEqual([0, []])
    peer.authenticate('Bearer alice')
    await until(() => peer.messages.length === 1)
    // The bounds of who is not proven are over too.
    clock.advance(5_000)
    const more = 'more'.repeat(1_000)
    peer.socket.send(more)
    await until(() => peer.messages.length === 2)
    expect(peer.messages).toEqual(['hello alice', more])
    expect(sockets.size).toBe(1)
    expect(peer.frames[1]).toMatchObject({ type: 'authenticated' })
  })

  it.each([
    ['Bearer mallory', '4401 credential refused'],
    ['Bearer a b', '4401 credential malformed'],
    ['Bearer bob', '4403 scope missing'],
    ['Bearer down', '1013 try again later'],
    ['Bearer broken', '1011 internal error'],
    ['DPoP alice', '4401 credential malformed'],
  ])('of "%s" closes with %s', async (authorization, closing) => {
    const { sockets } = await profile()
    const peer = await unproven()
    peer.authenticate(authorization)
    expect(await peer.closed).toBe(closing)
    expect([sockets.size, peer.messages]).toEqual([0, []])
  })

  it('that is one of the application’s closes', async () => {
    await profile()
    const peer = await unproven()
    peer.socket.send('anything')
    expect(await peer.closed).toBe('1008 session frame')
  })

  it('that is followed by others before it was judged closes', async () => {
    await profile()
    gate.open = new Promise(() => undefined)
    const peer = await unproven()
    peer.authenticate('Bearer slow')
    peer.socket.send('anything')
    expect(await peer.closed).toBe('1008 session frame')
  })

  it('must come in time', async () => {
    await profile({ withinMs: 3_000 })
    const peer = await unproven()
    clock.advance(2_999)
    peer.socket.ping()
    clock.advance(1)
    expect(await peer.closed).toBe('1008 too late')
    expect(codes()).toContain('ERR_WEBSOCKET_HANDSHAKE_TIMEOUT')
  })

  it('must be judged in time', async () => {
    await profile({ withinMs: 3_000 })
    gate.open = new Promise(() => undefined)
    const peer = await unproven()
    peer.authenticate('Bearer slow')
    await new Promise((resolve) => setTimeout(resolve, 30))
    clock.advance(3_000)
    expect(await peer.closed).toBe('1008 too late')
  })

  it.each([
    ['in one frame', (peer: Awaited<ReturnType<typeof open>>) => peer.socket.send(`${peer.tag} ${'x'.repeat(4_000)}`)],
    [
      'in pieces that never end',
      (peer: Awaited<ReturnType<typeof open>>) => {
        for (let piece = 0; piece < 40; piece++) peer.socket.send('x'.repeat(100), { fin: false })
      },
    ],
  ])('has few bytes, %s', async (_, send) => {
    await profile({ maxBytes: 2_000 })
    const peer = await unproven()
    send(peer)
    expect(await peer.closed).toBe('1006')
    expect(codes()).toContain('ERR_WEBSOCKET_FRAME')
  })

  it('is waited for by a bounded number, and those who leave make room', async () => {
    await profile({ maxUnproven: 2 })
    const first = await unproven()
    await unproven()
    await expect(unproven()).rejects.toThrow('503')
    expect(codes()).toContain('ERR_WEBSOCKET_UNPROVEN')
    first.authenticate('Bearer alice')
    await until(() => first.messages.length === 1)
    const third = await unproven()
    third.socket.terminate()
    await new Promise((resolve) => setTimeout(resolve, 50))
    await unproven()
  })

  it('is not waited for from whom does not know the frames, or has presented something', async () => {
    await profile()
    expect(status(await ask({}))).toBe(401)
    expect(status(await ask({ 'Portcullis-Session': '1', Authorization: 'Bearer mallory' }))).toBe(401)
    expect(status(await ask({ 'Portcullis-Session': '1', Authorization: 'Basic YWxpY2U6c2VjcmV0' }))).toBe(401)
  })

  it('counts towards the connections of its principal', async () => {
    await greeting({ firstMessage: {}, limits: { maxConnectionsPerPrincipal: 1 } })
    await open((listener as WebSocketListener).port, tls.client, '/', { token: 'alice' })
    const peer = await unproven()
    peer.authenticate('Bearer alice')
    expect(await peer.closed).toBe('1013 too many connections')
  })

  it('is told to the browser that must send it', async () => {
    await profile()
    const peer = await open((listener as WebSocketListener).port, tls.client, '/', { protocols: [sessionProtocol] })
    await until(() => peer.frames.length === 1)
    peer.authenticate('Bearer alice')
    await until(() => peer.messages.length === 1)
  })
})

describe('an endpoint', () => {
  afterEach(() => (listener = undefined))
  const made = (options: object): Promise<unknown> => serve({ tls, guard: policy(), port: 0, ...options } as never, () => undefined)

  it.each([
    ['without a guard', { guard: undefined }, 'ERR_GUARD_MISSING'],
    ['with a misspelt option', { origin5: ['https://a.example'] }, 'ERR_OPTION_UNKNOWN'],
    ['with a misspelt limit', { limits: { maxMessageByte: 1 } }, 'ERR_OPTION_UNKNOWN'],
    ['with a limit of nothing', { limits: { maxUnreadBytes: 0 } }, 'ERR_OPTION_INVALID'],
    ['with a limit that is no number', { limits: { idleMs: Number.NaN } }, 'ERR_OPTION_INVALID'],
    ['with no origins', { origins: [] }, 'ERR_OPTION_INVALID'],
    ['with an origin that is undefined', { origins: undefined }, undefined],
    ['with an origin that is a URL', { origins: ['https://a.example/'] }, 'ERR_OPTION_INVALID'],
    ['with the origin of nobody', { origins: ['null'] }, 'ERR_OPTION_INVALID'],
    ['with every origin as text', { origins: ['*'] }, 'ERR_OPTION_INVALID'],
    ['with a protocol that looks like a credential', { protocols: ['bearer.x'] }, 'ERR_OPTION_INVALID'],
    ['with no protocols', { protocols: [] }, 'ERR_OPTION_INVALID'],
    ['with a message level without an action', { message: {} }, 'ERR_OPTION_MISSING'],
    ['with a message guard that is undefined', { message: { guard: undefined, action: () => ({}) } }, 'ERR_GUARD_MISSING'],
    ['with a first message of no time', { firstMessage: { withinMs: 0 } }, 'ERR_OPTION_INVALID'],
    ['with too much grace', { session: { graceMs: 1, grace: 2 } }, 'ERR_OPTION_UNKNOWN'],
    ['with a path without its slash', { path: 'feed' }, 'ERR_HTTP_ROUTE_INVALID'],
    ['with an empty path', { path: '' }, 'ERR_OPTION_INVALID'],
  ])('%s is not made', async (_, options, code) => {
    if (code === undefined) return
    await expect(made(options)).rejects.toMatchObject({ code })
  })

  it('needs a server that is one', () => {
    expect(() => websocket({ path: '/', guard: policy() } as never, () => undefined)).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_MISSING' }),
    )
  })
})
