import { connect as connectSecure, type TLSSocket } from 'node:tls'
import {
  allOf,
  authenticator,
  credentialOf,
  forbid,
  granted,
  guard,
  notMine,
  refused,
  scope,
  vouchForPrincipal,
  type AuditEvent,
} from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { secureClientOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  endings,
  refusals,
  serve,
  type GuardedSocket,
  type Principal,
  type ServeOptions,
  type SocketHandler,
  type WebSocketListener,
} from './index.ts'
import { gate, handshake, open, revocations, tokens, until, type Peer, type PeerInit } from './service.test-support.ts'

let tls: DevelopmentTls
let listener: WebSocketListener
let events: AuditEvent[] = []
let clock = manualClock(Date.now())
let policy = makePolicy()
function makePolicy() {
  return guard({ authenticate: tokens(() => clock.now()), authorize: scope('orders:read'), clock, audit: (event) => events.push(event) })
}

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(() => {
  events = []
  clock = manualClock(Date.now())
  policy = makePolicy()
  revocations.clear()
  gate.open = Promise.resolve()
})
afterEach(() => listener.close())
afterAll(() => tls.close())

const taken: string[] = []
const echo: SocketHandler<Principal> = (socket) => {
  taken.length = 0
  socket.on('message', (data: Buffer, isBinary) => {
    taken.push(data.toString())
    socket.send(data, { binary: isBinary })
  })
}
async function serving(options: Partial<ServeOptions> = {}, handler = echo): Promise<GuardedSocket[]> {
  const sockets: GuardedSocket[] = []
  listener = await serve({ tls, guard: policy, port: 0, ...options }, (socket, principal, request) => {
    sockets.push(socket)
    return handler(socket, principal, request)
  })
  return sockets
}
const peer = (init: PeerInit = { token: 'alice' }): Promise<Peer> => open(listener.port, tls.client, '/', init)
/** The one connection that is open, from the listener's side. */
function only(): GuardedSocket {
  const [socket] = listener.sockets
  if (socket === undefined) throw new Error('Nobody is connected.')
  return socket
}
const codes = (): (string | undefined)[] => events.map((event) => ('code' in event ? event.code : undefined))
const pause = (ms = 40): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

describe('a session', () => {
  it('ends at expiry with 4401, though both ends are silent', async () => {
    await serving()
    const one = await peer({ token: 'alice-300' })
    clock.advance(299_999)
    one.socket.send('in time')
    await until(() => one.messages.length === 1)
    clock.advance(1)
    expect(await one.closed).toBe('4401 expired')
    expect(listener.sockets.size).toBe(0)
  })

  it('ends by a shorter time where the principal has none', async () => {
    await serving({ session: { maxSessionMs: 5_000 } })
    const one = await peer()
    clock.advance(5_000)
    expect(await one.closed).toBe('4401 expired')
  })

  it('may be let live on for a while, but not after revocation', async () => {
    await serving({ session: { graceMs: 10_000 } })
    const [late, revoked] = [await peer({ token: 'alice-60' }), await peer({ token: 'alice-60' })]
    clock.advance(69_999)
    late.socket.send('still here')
    await until(() => late.messages.length === 1)
    revocations.get('alice')?.revoke('left')
    expect(await Promise.all([late.closed, revoked.closed])).toEqual(['4401 revoked', '4401 revoked'])
  })

  it('warns application and peer before its end', async () => {
    const warned: Date[] = []
    await serving({ session: { warnBeforeMs: 20_000 } }, (socket) => void socket.on('expiring', (at: Date) => warned.push(at)))
    const one = await peer({ token: 'alice-100' })
    clock.advance(79_999)
    await pause()
    expect([warned, one.frames]).toEqual([[], []])
    clock.advance(1)
    await until(() => one.frames.length === 1)
    expect(one.frames).toEqual([{ type: 'expiring', expiresAt: new Date(clock.now() + 20_000).toISOString() }])
    expect(warned).toEqual([new Date(clock.now() + 20_000)])
  })

  it('delivers nothing after a revocation, in neither direction', async () => {
    await serving()
    const one = await peer()
    one.socket.send('first')
    await until(() => one.messages.length === 1)
    // What the peer sends crosses the revocation on the wire; what the application sends comes after it.
    one.socket.send('crossing')
    const socket = only()
    revocations.get('alice')?.revoke('left')
    socket.send('too late')
    expect(await one.closed).toBe('4401 revoked')
    expect([one.messages, taken]).toEqual([['first'], ['first']])
  })

  it('drops at a revocation what a slow peer has not read yet', async () => {
    const sockets = await serving({ limits: { maxUnreadBytes: 2 ** 26 } }, () => undefined)
    const wire = await slowPeer('alice')
    await until(() => sockets.length === 1)
    const socket = sockets[0] as GuardedSocket
    for (let sent = 0; sent < 400; sent++) socket.send(Buffer.alloc(65_536))
    expect(socket.bufferedAmount).toBeGreaterThan(1_000_000)
    await pause()
    revocations.get('alice')?.revoke('left')
    await until(() => socket.readyState === socket.CLOSED)
    wire.resume()
    let read = 0
    wire.on('data', (data: Buffer) => (read += data.byteLength))
    await new Promise((resolve) => wire.once('close', resolve))
    expect(read).toBeLessThan(400 * 65_536)
  })

  it('ends with 4403 when the policy no longer admits it, and stays where it does', async () => {
    await serving()
    const one = await peer()
    policy.change({ authorize: scope('orders:read') })
    one.socket.send('still here')
    await until(() => one.messages.length === 1)
    policy.change({ authorize: scope('orders:write') })
    expect(await one.closed).toBe('4403 forbidden')
  })

  it('ends what is watched in it, when the right to that is lost, and goes on itself', async () => {
    const ended: string[] = []
    const orders = policy.with({ authorize: scope('orders:read') })
    await serving()
    await peer()
    const watching = only()
    const stop = watching.watch({
      guard: orders,
      action: { action: 'subscribe', resource: 'orders', attributes: {} },
      onEnd: ({ reason }) => ended.push(reason),
    })
    orders.change({ authorize: scope('orders:write') })
    await until(() => ended.length === 1)
    expect([ended, watching.readyState]).toEqual([['insufficientScope'], watching.OPEN])
    stop()
  })

  it('tells the application who the peer is, until when, and what it may', async () => {
    await serving()
    await peer({ token: 'alice-60' })
    const one = only()
    expect(one.principal.subject).toBe('alice')
    expect(one.endsAt).toEqual(new Date(clock.now() + 60_000))
    expect((await one.authorize({ action: 'read', resource: 'orders', attributes: {} })).outcome).toBe('allow')
  })

  it('ends with 1001 when the listener stops, within a second even for a peer that answers nothing', async () => {
    await serving()
    const [one, wire] = [await peer(), await slowPeer('alice')]
    const began = Date.now()
    await listener.close()
    expect(await one.closed).toBe('1001 shutdown')
    expect(Date.now() - began).toBeLessThan(3_000)
    wire.destroy()
    expect(events.filter(({ type }) => type === 'sessionEnded')).toMatchObject([{ message: 'shutdown' }, { message: 'shutdown' }])
  })

  it('is over when the connection is, however that ended', async () => {
    await serving()
    const [polite, rude] = [await peer(), await peer()]
    polite.socket.close(1000)
    rude.socket.terminate()
    await until(() => events.filter(({ type }) => type === 'sessionEnded').length === 2)
    expect([listener.sockets.size, clock.pending]).toEqual([0, 0])
  })

  it('has codes for every end that applications may give', () => {
    for (const { code, text } of [...Object.values(endings), ...Object.values(refusals)]) {
      expect([1000, 1001, 1008, 1011, 1013, 4401, 4403]).toContain(code)
      // RFC 6455 section 5.5: a control frame has 125 bytes at most.
      expect(Buffer.byteLength(text)).toBeLessThanOrEqual(123)
    }
  })
})

describe('a renewal in band', () => {
  it('prolongs the session, and tells both ends', async () => {
    const renewed: string[] = []
    await serving({}, (socket) => void socket.on('reauthenticated', ({ subject }: Principal) => renewed.push(subject)))
    const one = await peer({ token: 'alice-60' })
    clock.advance(50_000)
    one.frames.length = 0
    one.authenticate('Bearer alice-60')
    await until(() => one.frames.some(({ type }) => type === 'authenticated'))
    expect(one.frames.at(-1)).toEqual({ type: 'authenticated', expiresAt: new Date(clock.now() + 60_000).toISOString() })
    expect(renewed).toEqual(['alice'])
    clock.advance(60_000)
    expect(await one.closed).toBe('4401 expired')
  })

  it.each([
    ['Bearer mallory', 'invalid', 1],
    ['Bearer a b', 'malformed', 1],
    ['Bearer down', 'outage', 0],
    ['', 'malformed', 1],
  ] as const)('with "%s" is refused, and changes nothing', async (authorization, reason, challenges) => {
    await serving()
    const one = await peer({ token: 'alice-60' })
    one.authenticate(authorization)
    await until(() => one.frames.length === 1)
    expect(one.frames).toMatchObject([{ type: 'refused', reason }])
    expect(one.frames[0]).toHaveProperty('challenges.length', challenges)
    one.socket.send('still here')
    await until(() => one.messages.length === 1)
    clock.advance(60_000)
    expect(await one.closed).toBe('4401 expired')
  })

  it('takes no proof of possession, neither a new one nor that of the upgrade', async () => {
    await serving()
    const one = await peer()
    one.authenticate('DPoP alice')
    await until(() => one.frames.length === 1)
    expect(one.frames).toMatchObject([{ type: 'refused', reason: 'malformed' }])
  })

  it('as another subject closes with 1008', async () => {
    policy = guard({ authenticate: tokens(), clock, audit: (event) => events.push(event) })
    await serving()
    const one = await peer()
    one.authenticate('Bearer bob')
    expect(await one.closed).toBe('1008 another subject')
  })

  it('that fails too often closes with 1008', async () => {
    await serving()
    const one = await peer()
    for (let attempt = 1; attempt <= 5; attempt++) {
      one.authenticate('Bearer mallory')
      await until(() => one.frames.length === attempt || one.socket.readyState !== one.socket.OPEN)
    }
    expect(await one.closed).toBe('1008 too many attempts')
  })

  it('is judged one at a time', async () => {
    await serving()
    const one = await peer()
    gate.open = new Promise(() => undefined)
    one.authenticate('Bearer slow')
    one.authenticate('Bearer slow')
    expect(await one.closed).toBe('1008 session frame')
  })

  it.each([
    '{}',
    '{"type":"authenticate"}',
    '{"type":"authenticate","authorization":7}',
    'null',
    '[]',
    'Bearer alice',
    '',
    '{"type":"__proto__"}',
  ])('that reads %s closes with 1008', async (content) => {
    await serving()
    const one = await peer()
    one.socket.send(`${one.tag} ${content}`)
    expect(await one.closed).toBe('1008 session frame')
    expect(taken).toEqual([])
  })

  it('is only what begins with the connection’s own tag, as text', async () => {
    await serving()
    const [one, other] = [await peer(), await peer()]
    const frame = `${other.tag} {"type":"authenticate","authorization":"Bearer mallory"}`
    one.socket.send(frame)
    one.socket.send('portcullis:')
    one.socket.send(one.tag)
    one.socket.send(Buffer.from(`${one.tag} {"type":"authenticate"}`), { binary: true })
    await until(() => one.messages.length + one.frames.length === 4)
    expect(taken).toHaveLength(4)
    expect(one.socket.readyState).toBe(one.socket.OPEN)
  })

  it('is no frame for a peer that did not ask for them', async () => {
    await serving()
    const one = await peer({ token: 'alice', headers: { 'portcullis-session': '0' } })
    expect(one.tag).toBe('')
    one.socket.send('portcullis:0123456789012345678901 {"type":"authenticate"}')
    await until(() => one.messages.length === 1)
    clock.advance(3_600_000)
    expect(await one.closed).toBe('4401 expired')
    expect(one.frames).toEqual([])
  })

  it('of one factor renews the others too, which are judged again', async () => {
    const keys = { good: true }
    const key = authenticator('key', (request) => {
      const basic = credentialOf(request.credentials, 'basic')
      if (basic === undefined) return notMine
      return keys.good ? vouchForPrincipal({ issuer: 'keys', subject: basic.username }) : refused('ERR_TEST_KEY')
    })
    policy = guard({
      authenticate: allOf(
        tokens(() => clock.now()),
        key,
      ),
      clock,
      audit: (event) => events.push(event),
    })
    await serving({ protocols: ['orders'] })
    // One stands in the field in whose form the frame comes, the other in a sub-protocol.
    const one = await peer({ headers: { authorization: 'Basic YWxpY2U6c2VjcmV0' }, protocols: ['orders', 'bearer.alice-60'] })
    one.authenticate('Bearer alice-120')
    await until(() => one.frames.length === 1)
    expect(one.frames[0]).toMatchObject({ type: 'authenticated' })
    keys.good = false
    one.authenticate('Bearer alice-180')
    await until(() => one.frames.length === 2)
    expect(one.frames[1]).toMatchObject({ type: 'refused', reason: 'invalid' })
  })
})

describe('messages that are judged', () => {
  const level = (more: object = {}): ServeOptions['message'] => ({
    guard: policy.with({ authorize: (_principal, { action }) => (action === 'free' ? granted : forbid('tests')) }),
    action: (data: Buffer) => ({ action: data.toString().split(' ')[0] ?? '', resource: 'room', attributes: {} }),
    ...more,
  })

  it('are delivered where the policy allows, and close the connection where not', async () => {
    await serving({ message: level() as never })
    const one = await peer()
    one.socket.send('free beer')
    one.socket.send('other things')
    one.socket.send('free lunch')
    expect(await one.closed).toBe('4403 forbidden')
    expect(taken).toEqual(['free beer'])
    expect(codes()).toContain('ERR_POLICY_FORBIDDEN')
  })

  it('that are refused can be answered instead', async () => {
    await serving({
      message: level({ onRefused: (socket: GuardedSocket, { reason }: { reason: string }) => socket.send(`no: ${reason}`) }) as never,
    })
    const one = await peer()
    for (const text of ['free beer', 'other things', 'free lunch']) one.socket.send(text)
    await until(() => one.messages.length === 3)
    expect([one.messages, taken]).toEqual([
      ['free beer', 'no: forbidden', 'free lunch'],
      ['free beer', 'free lunch'],
    ])
  })

  it('stay in order while one of them needs I/O', async () => {
    const slow = policy.with({
      authorize: async (_principal, { action }) => {
        await pause(action === 'slow' ? 30 : 1)
        return action === 'bad' ? forbid('tests') : granted
      },
    })
    await serving({ message: level({ guard: slow, onRefused: (socket: GuardedSocket) => socket.send('refused') }) as never })
    const one = await peer()
    const sent = Array.from({ length: 60 }, (_, at) => (at % 20 === 0 ? `slow ${at}` : at % 7 === 0 ? `bad ${at}` : `fast ${at}`))
    for (const text of sent) one.socket.send(text)
    await until(() => one.messages.length === sent.length)
    expect(one.messages).toEqual(sent.map((text) => (text.startsWith('bad') ? 'refused' : text)))
  })

  it('are not delivered if the session ended while they were judged', async () => {
    const opened = Promise.withResolvers<void>()
    const slow = policy.with({ authorize: () => opened.promise.then(() => granted) })
    await serving({ message: level({ guard: slow }) as never })
    const one = await peer()
    one.socket.send('free beer')
    await pause()
    revocations.get('alice')?.revoke('left')
    opened.resolve()
    expect(await one.closed).toBe('4401 revoked')
    expect(taken).toEqual([])
  })

  it('look at the clock each, where a timer would notice a clock that is set only later', async () => {
    await serving({ message: { action: () => ({ action: 'any', resource: 'room', attributes: {} }) } })
    const one = await peer({ token: 'alice-60' })
    clock.step(clock.now() + 60_000)
    one.socket.send('too late')
    expect(await one.closed).toBe('4401 credential refused')
    expect(taken).toEqual([])
  })

  it('whose action cannot be told close with 1008', async () => {
    await serving({ message: { action: (data) => JSON.parse(data.toString()) as never } })
    const one = await peer()
    one.socket.send('{')
    expect(await one.closed).toBe('1008 session frame')
  })
})

describe('limits', () => {
  it('a message that is too long closes with 1009, in one frame or in many', async () => {
    await serving({ limits: { maxMessageBytes: 1_000 } })
    const [one, other] = [await peer(), await peer()]
    one.socket.send('x'.repeat(1_001))
    for (let piece = 0; piece < 11; piece++) other.socket.send('x'.repeat(100), { fin: false })
    expect(await Promise.all([one.closed, other.closed])).toEqual(['1009', '1009'])
    expect(taken).toEqual([])
  })

  it('a peer that does not read is cut off before more is sent to it', async () => {
    const sockets = await serving({ limits: { maxUnreadBytes: 100_000 } }, () => undefined)
    const wire = await slowPeer('alice')
    await until(() => sockets.length === 1)
    const socket = sockets[0] as GuardedSocket
    for (let sent = 0; sent < 2_000 && socket.readyState === socket.OPEN; sent++) {
      socket.send(Buffer.alloc(10_000))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(socket.readyState).not.toBe(socket.OPEN)
    await until(() => codes().includes('ERR_WEBSOCKET_UNREAD'))
    wire.destroy()
  })

  it('a peer that is gone without a word is noticed; one that only answers pings is not cut', async () => {
    await serving({ limits: { idleMs: 100 } })
    const [alive, wire] = [await peer(), await slowPeer('alice')]
    await until(() => listener.sockets.size === 2)
    await until(() => listener.sockets.size === 1)
    await pause(200)
    expect(alive.socket.readyState).toBe(alive.socket.OPEN)
    wire.destroy()
  })

  it('what a handler or a listener throws closes with 1011, tells nothing, and ends no process', async () => {
    await serving({}, async (socket, _principal, { url }) => {
      if (url === '/?now') throw new Error('inner')
      if (url === '/?later') await pause(1).then(() => Promise.reject(new Error('inner')))
      socket.on('message', () => {
        throw new Error('inner')
      })
    })
    const opened = (query: string): Promise<Peer> => open(listener.port, tls.client, `/${query}`, { token: 'alice' })
    const peers = [await opened('?now'), await opened('?later'), await opened('')] as const
    peers[2].socket.send('hello')
    expect(await Promise.all(peers.map(({ closed }) => closed))).toEqual(Array(3).fill('1011 internal error'))
    expect(events.filter(({ type }) => type === 'warning')).toMatchObject(
      Array.from({ length: 3 }, () => ({ code: 'ERR_WEBSOCKET_HANDLER_FAILED' })),
    )
  })

  it('frames that break the protocol close, and end no process', async () => {
    await serving()
    const wire = await slowPeer('alice')
    wire.resume()
    // Not masked (RFC 6455 section 5.1).
    wire.write(Buffer.from([0x81, 0x02, 0x68, 0x69]))
    await new Promise((resolve) => wire.once('close', resolve))
    await until(() => listener.sockets.size === 0)
    expect(taken).toEqual([])
  })
})

/** A peer on a bare socket that is open and reads no further. */
async function slowPeer(token: string): Promise<TLSSocket> {
  const wire = connectSecure({ ...secureClientOptions(tls.client, { host: 'localhost' }), port: listener.port })
  wire.on('error', () => undefined)
  wire.write(handshake({ Authorization: `Bearer ${token}` }))
  await new Promise<void>((resolve) => wire.once('data', () => resolve()))
  wire.pause()
  return wire
}
