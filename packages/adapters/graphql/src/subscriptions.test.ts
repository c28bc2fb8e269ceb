import { secureClientOptions } from '@portcullis/tls'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { request as nodeRequest } from 'node:https'
import { afterEach, describe, expect, it } from 'vitest'
import { anyOrigin } from './danger.ts'
import { ask, Bare, clock, events, listeners, open, policy, publish, ran, revocationOf, server, tls, until } from './scene.test-support.ts'
import { forbid, granted } from './index.ts'

afterEach(async () => {
  await server.close({ graceMs: 0 })
  await until('The end of all sources', () => listeners.size === 0)
})

const ended = (): unknown[] => events.filter(({ type }) => type === 'sessionEnded').map((event) => 'message' in event && event.message)

/** A subscription over server-sent events, of no client. */
class Events {
  text = ''
  status = 0
  headers: IncomingMessage['headers'] = {}
  readonly #request: ClientRequest
  readonly closed: Promise<void>

  constructor(query: string, token?: string, method = 'POST') {
    const closed = Promise.withResolvers<void>()
    this.closed = closed.promise
    this.#request = nodeRequest(
      {
        ...secureClientOptions(tls.client, { host: 'localhost' }),
        port: server.port,
        method,
        path: method === 'GET' ? `/graphql?query=${encodeURIComponent(query)}` : '/graphql',
        agent: false,
        headers: {
          accept: 'text/event-stream',
          ...(method === 'POST' && { 'content-type': 'application/json' }),
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
        },
      },
      (incoming) => {
        this.status = incoming.statusCode ?? 0
        this.headers = incoming.headers
        incoming.setEncoding('utf8').on('data', (chunk: string) => (this.text += chunk))
        incoming.on('error', () => undefined).on('close', () => closed.resolve())
      },
    )
    this.#request.on('error', () => closed.resolve()).end(method === 'POST' ? JSON.stringify({ query }) : undefined)
  }

  async got(text: string): Promise<void> {
    await until(`The arrival of ${text} in ${this.text}`, () => this.text.includes(text))
  }

  leave(): void {
    this.#request.destroy()
  }
}

describe('server-sent events', () => {
  it.each(['POST', 'GET'])('come by %s, and judge each event afresh', async (method) => {
    await open()
    const stream = new Events('subscription { ticks { number detail } }', 'alice', method)
    await until('A subscription', () => listeners.size === 1)
    publish(1)
    await stream.got('"number":1')
    await stream.got('"detail":null')
    publish(2)
    await stream.got('"number":2')
    expect(stream.text).not.toContain('detail 1')
    expect(events.filter((event) => event.type === 'decision' && event.resource === 'Tick.detail')).toHaveLength(2)
    stream.leave()
  })

  it('are refused before anything is subscribed to', async () => {
    await open()
    for (const token of [undefined, 'bad']) {
      const stream = new Events('subscription { ticks { number } }', token)
      await stream.closed
      expect(stream.status).toBe(401)
    }
    const forbidden = new Events('subscription { secretTicks { number } }', 'alice')
    await forbidden.closed
    expect(forbidden.text).toContain('FORBIDDEN')
    expect(listeners.size).toBe(0)
  })

  it('end at expiry while nothing happens, and say why', async () => {
    await open()
    const stream = new Events('subscription { ticks { number } }', 'alice..60')
    await until('A subscription', () => listeners.size === 1)
    publish(1)
    await stream.got('"number":1')
    await clock.advanceAsync(59_999)
    publish(2)
    await stream.got('"number":2')
    await clock.advanceAsync(1)
    publish(3)
    await stream.closed
    expect(stream.text).toContain('UNAUTHENTICATED')
    expect(stream.text).toContain('event: complete')
    expect(stream.text).not.toContain('"number":3')
    expect(ended()).toEqual(['expired'])
  })

  it('end at revocation', async () => {
    await open()
    const stream = new Events('subscription { ticks { number } }', 'rita')
    await until('A subscription', () => listeners.size === 1)
    revocationOf('rita').revoke('left')
    publish(1)
    await stream.closed
    expect(stream.text).not.toContain('"number":1')
    expect(ended()).toEqual(['revoked'])
  })

  it('end when the policy no longer admits them', async () => {
    await open()
    const stream = new Events('subscription { ticks { number } }', 'alice')
    await until('A subscription', () => listeners.size === 1)
    policy().change({ authorize: ({ kind }) => (kind === 'anonymous' ? granted : forbid('closed')) })
    await stream.closed
    expect(stream.text).toContain('FORBIDDEN')
  })

  it('leave nothing behind when the reader goes', async () => {
    await open()
    const stream = new Events('subscription { ticks { number } }', 'alice')
    await until('A subscription', () => listeners.size === 1)
    stream.leave()
    await until('The end of the source', () => listeners.size === 0)
    await until('The end of the session', () => ended().length === 1)
    expect(ended()).toEqual(['closed'])
  })

  it('of a field that is open to everyone need no credential', async () => {
    await open()
    const stream = new Events('subscription { news }')
    await until('A subscription', () => listeners.size === 1)
    publish(5)
    await stream.got('{"news":5}')
    stream.leave()
  })

  it('end with an error that tells nothing of the inside', async () => {
    await open()
    const stream = new Events('subscription { broken }', 'alice')
    await stream.closed
    expect(stream.text).toContain('{"broken":1}')
    expect(stream.text).not.toContain('10.0.0.7')
  })
})

describe('a WebSocket', () => {
  it.each([
    ['in connection_init', undefined, 'alice'],
    ['in the handshake', { authorization: 'Bearer alice' }, undefined],
  ])('is proven by a token %s', async (_, headers, token) => {
    await open()
    const bare = new Bare(headers === undefined ? {} : { headers })
    await bare.init(token)
    expect(await bare.got('connection_ack')).toMatchObject({ payload: { expiresAt: expect.any(String) } })
    await bare.subscribe('subscription { ticks { number } }')
    await until('A subscription', () => listeners.size === 1)
    publish(1)
    expect(await bare.got('next')).toMatchObject({ payload: { data: { ticks: { number: 1 } } } })
    await bare.subscribe('{ hello salary }', '2')
    expect(await bare.got('next', 2)).toMatchObject({
      payload: { data: { hello: 'hello alice', salary: null }, errors: [{ extensions: { code: 'FORBIDDEN' } }] },
    })
    bare.socket.close()
  })

  it.each([
    ['no credential at all', undefined, '4401 Unauthorized'],
    ['a bad token', 'bad', '4401 Unauthorized'],
    ['an expired one', 'alice..0', '4401 Unauthorized'],
    ['a malformed one', 'a b', '4400 BAD_REQUEST'],
    ['an outage', 'down', '1013 SERVICE_UNAVAILABLE'],
  ])('that brings %s is closed', async (_, token, close) => {
    await open()
    const bare = await new Bare().init(token)
    expect(await bare.closed).toBe(close)
    expect(bare.messages).toEqual([])
  })

  it.each([
    ['Bearer bad', 401],
    ['Bearer a b', 400],
    ['Bearer down', 503],
  ])('whose handshake has "%s" is refused with %i, and no 101', async (authorization, status) => {
    await open()
    const bare = new Bare({ headers: { authorization } })
    await bare.closed
    expect(bare.status).toBe(status)
  })

  it('with two tokens is closed, whichever is sound', async () => {
    await open()
    const bare = await new Bare({ headers: { authorization: 'Bearer alice' } }).init('alice')
    expect(await bare.closed).toBe('4400 BAD_REQUEST')
  })

  it('whose connection_init names somebody else than the handshake did is closed', async () => {
    await open({ guarded: 'either' })
    const bare = await new Bare({ headers: { 'x-api-key': 'carol' } }).init('alice')
    expect(await bare.closed).toBe('4403 Forbidden')
  })

  it.each([
    ['a subscription before connection_init', { id: '1', type: 'subscribe', payload: { query: '{ hello }' } }, '4401 Unauthorized'],
    ['no JSON', 'hello', '4400 Invalid message received'],
    ['a renewal before connection_init', { type: 'ping', payload: { authorization: 'Bearer alice' } }, '4400 Unexpected renewal'],
    ['more than it may', `"${'a'.repeat(100_001)}"`, '1009'],
  ])('that sends %s is closed', async (_, message, close) => {
    await open()
    const bare = await new Bare().send(message)
    expect(await bare.closed).toBe(close)
  })

  it('that begins twice is closed', async () => {
    await open()
    const bare = await (await new Bare().init('alice')).init('alice')
    expect(await bare.closed).toBe('4429 Too many initialisation requests')
  })

  it('that does not begin in time is closed', async () => {
    await open()
    const bare = new Bare()
    await new Promise((resolve) => bare.socket.once('open', resolve))
    await clock.advanceAsync(10_000)
    expect(await bare.closed).toBe('4408 Connection initialisation timeout')
  })

  it('of another page is refused, whatever it brings', async () => {
    await open()
    for (const headers of [
      { origin: 'https://evil.example' },
      { origin: 'null' },
      { 'sec-websocket-origin': 'https://evil.example' },
      { origin: 'https://evil.example', authorization: 'Bearer alice' },
      { cookie: 'session=alice' },
    ]) {
      const bare = new Bare({ headers })
      await bare.closed
      expect(bare.status).toBe(403)
    }
    const own = await new Bare({ headers: { origin: server.origin, cookie: 'session=alice' } }).init()
    await own.got('connection_ack')
    own.socket.close()
  })

  it('of pages that are named may come, and with all pages cookies may not', async () => {
    await open({ sockets: { origins: ['https://shop.example'] } })
    const shop = await new Bare({ headers: { origin: 'https://shop.example' } }).init('alice')
    await shop.got('connection_ack')
    shop.socket.close()
    await server.close({ graceMs: 0 })
    await open({ sockets: { origins: anyOrigin } })
    const other = new Bare({ headers: { origin: 'https://evil.example', cookie: 'session=alice' } })
    await other.closed
    expect(other.status).toBe(403)
  })

  it('of another sub-protocol is closed', async () => {
    await open()
    const bare = new Bare({ protocol: 'graphql-ws', headers: { authorization: 'Bearer alice' } })
    await bare.closed
    expect(bare.messages).toEqual([])
  })

  it('is closed at expiry with 4401 while nothing happens', async () => {
    await open()
    const bare = await new Bare().init('alice..60')
    await bare.got('connection_ack')
    await bare.subscribe('subscription { ticks { number } }')
    await until('A subscription', () => listeners.size === 1)
    await clock.advanceAsync(30_000)
    expect(await bare.got('ping')).toMatchObject({ payload: { expiring: new Date(clock.now() + 30_000).toISOString() } })
    await clock.advanceAsync(30_000)
    publish(1)
    expect(await bare.closed).toBe('4401 Unauthorized')
    expect(bare.messages.map(({ type }) => type)).toEqual(['connection_ack', 'ping'])
    await until('The end of the source', () => listeners.size === 0)
  })

  it('is closed at revocation, within a second', async () => {
    await open()
    const bare = await new Bare().init('rosa')
    await bare.got('connection_ack')
    await bare.subscribe('subscription { ticks { number } }')
    await until('A subscription', () => listeners.size === 1)
    const at = performance.now()
    revocationOf('rosa').revoke('left')
    publish(1)
    expect(await bare.closed).toBe('4401 Unauthorized')
    expect(performance.now() - at).toBeLessThan(1_000)
    expect(bare.messages.some(({ type }) => type === 'next')).toBe(false)
  })

  it('begins nothing after its end, though it was asked for before', async () => {
    const [asked, ready] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
    await open({
      yoga: {
        context: async () => {
          asked.resolve()
          await ready.promise
          return {}
        },
      },
    })
    const peer = await new Bare().init('rita')
    await peer.got('connection_ack')
    await peer.subscribe('mutation { count }')
    await asked.promise
    revocationOf('rita').revoke('left')
    ready.resolve()
    expect(await peer.closed).toBe('4401 Unauthorized')
    await new Promise((resolve) => setTimeout(resolve, 30))
    expect(ran).toEqual([])
  })

  it('is renewed by a ping: rights that were lost end what rests on them, and the rest goes on', async () => {
    await open()
    const bare = await new Bare().init('alice.ticks~detail.60')
    await bare.got('connection_ack')
    await bare.subscribe('subscription { secretTicks { number detail } }', 'secret')
    await bare.subscribe('subscription { ticks { number detail } }', 'open')
    await until('Two subscriptions', () => listeners.size === 2)
    publish(1)
    await bare.got('next', 2)
    await bare.send({ type: 'ping', payload: { authorization: 'Bearer alice..600' } })
    expect(await bare.got('pong')).toMatchObject({ payload: { expiresAt: new Date(clock.now() + 600_000).toISOString() } })
    expect(await bare.got('next', 3)).toMatchObject({ id: 'secret', payload: { errors: [{ extensions: { code: 'FORBIDDEN' } }] } })
    expect(await bare.got('complete')).toMatchObject({ id: 'secret' })
    await clock.advanceAsync(120_000)
    publish(2)
    // The lost scope takes effect within the events too.
    expect(await bare.got('next', 4)).toMatchObject({ id: 'open', payload: { data: { ticks: { number: 2, detail: null } } } })
    bare.socket.close()
  })

  it('that renews without success lives on the old clock, and is told why', async () => {
    await open()
    const bare = await new Bare().init('alice..60')
    await bare.got('connection_ack')
    await bare.send({ type: 'ping', payload: { authorization: 'Bearer bad' } })
    expect(await bare.got('pong')).toMatchObject({
      payload: { refused: 'UNAUTHENTICATED', challenges: ['Bearer realm="tests", error="invalid_token"'] },
    })
    await clock.advanceAsync(60_000)
    expect(await bare.closed).toBe('4401 Unauthorized')
  })

  it('that renews as somebody else is closed', async () => {
    await open()
    const bare = await new Bare().init('alice')
    await bare.got('connection_ack')
    await bare.send({ type: 'ping', payload: { authorization: 'Bearer bob' } })
    expect(await bare.closed).toBe('4403 Forbidden')
  })

  it('that guesses is closed', async () => {
    await open()
    const bare = await new Bare().init('alice')
    await bare.got('connection_ack')
    for (let attempt = 1; attempt <= 5; attempt++) {
      await bare.send({ type: 'ping', payload: { authorization: 'Bearer bad' } })
      if (attempt < 5) await bare.got('pong', attempt)
    }
    expect(await bare.closed).toBe('4403 Forbidden')
  })

  it('answers other pings with what was in them', async () => {
    await open()
    const bare = await new Bare().init('alice')
    await bare.got('connection_ack')
    await bare.send({ type: 'ping', payload: { seen: 1 } })
    expect(await bare.got('pong')).toEqual({ type: 'pong', payload: { seen: 1 } })
    bare.socket.close()
  })

  it('has a bound for its operations, its unproven peers, and the connections of one principal', async () => {
    await open({ sockets: { limits: { maxOperations: 1, maxUnproven: 1, maxConnectionsPerPrincipal: 1 } } })
    const first = await new Bare().init('alice')
    await first.got('connection_ack')
    await first.subscribe('subscription { ticks { number } }', '1')
    await until('A subscription', () => listeners.size === 1)
    await first.subscribe('subscription { ticks { number } }', '2')
    expect(await first.got('error')).toMatchObject({ id: '2', payload: [{ extensions: { code: 'LIMIT_EXCEEDED' } }] })
    const second = await new Bare().init('alice')
    expect(await second.closed).toBe('4429 Too many connections')
    const third = new Bare({ headers: { authorization: 'Bearer alice' } })
    await third.closed
    expect(third.status).toBe(429)
    const waiting = new Bare()
    await new Promise((resolve) => waiting.socket.once('open', resolve))
    const beyond = new Bare()
    await beyond.closed
    expect(beyond.status).toBe(503)
    waiting.socket.close()
    await waiting.closed
    first.socket.close()
    await first.closed
    await until('Room for another', () => listeners.size === 0)
    const again = await new Bare().init('alice')
    await again.got('connection_ack')
    again.socket.close()
  })

  it('is held to the limits of operations, and tells nothing of the inside', async () => {
    await open()
    const bare = await new Bare().init('alice')
    await bare.got('connection_ack')
    await bare.subscribe(`{ ${Array.from({ length: 31 }, (_, at) => `a${at}: hello`).join(' ')} }`, 'many')
    expect(await bare.got('error')).toMatchObject({ id: 'many', payload: [{ extensions: { code: 'LIMIT_EXCEEDED' } }] })
    await bare.subscribe('{ helo }', 'guess')
    expect(JSON.stringify(await bare.got('error', 2))).not.toMatch(/did you mean|"hello/i)
    await bare.subscribe('subscription { broken }', 'broken')
    await bare.got('error', 3)
    expect(JSON.stringify(bare.messages)).not.toContain('10.0.0.7')
    bare.socket.close()
  })

  it('is not there where it was not wanted', async () => {
    await open({ sockets: false })
    const bare = new Bare({ headers: { authorization: 'Bearer alice' } })
    await bare.closed
    expect(bare.status).toBe(404)
  })

  it('is told when the listener stops', async () => {
    await open()
    const bare = await new Bare().init('alice')
    await bare.got('connection_ack')
    await server.close({ graceMs: 0 })
    expect(await bare.closed).toBe('1001 Going away')
    expect(ended()).toEqual(['shutdown'])
  })

  it('that has gone silent is cut', async () => {
    await open({ sockets: { limits: { idleMs: 40 } } })
    const bare = new Bare({ headers: { authorization: 'Bearer alice' } })
    await new Promise((resolve) => bare.socket.once('open', resolve))
    bare.socket.pause()
    await until('The cut', () => ended().length === 1)
    bare.socket.resume()
    expect(await bare.closed).toBe('1006')
  })
})

it('an upgrade that is none is refused by the listener', async () => {
  await open()
  expect((await ask({ method: 'GET', headers: { connection: 'Upgrade', upgrade: 'other' }, token: 'alice' })).status).toBe(404)
})
