import { createServer, type Server } from 'node:https'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { bearerToken } from '@portcullis/auth'
import {
  cached,
  guard,
  scope,
  secret,
  UnavailableError,
  type AuditEvent,
  type Clock,
  type BoundSource,
  type CredentialSource,
} from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { secureServerOptions } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { WebSocketServer, type WebSocket } from 'ws'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connect, serve, type ConnectOptions, type Principal, type WebSocketClient, type WebSocketListener } from './index.ts'
import { bearers, revocations, tokens, until } from './service.test-support.ts'

let tls: DevelopmentTls
let clock = manualClock(Date.now())
let opened: { close(): unknown }[] = []

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(() => {
  clock = manualClock(Date.now())
  revocations.clear()
})
afterEach(async () => {
  for (const one of opened.toReversed()) await one.close()
  opened = []
})
afterAll(() => tls.close())

interface Bare {
  readonly port: number
  readonly requests: IncomingMessage[]
  readonly sockets: WebSocket[]
}

/** A server of nobody's but `ws`; `answer` may refuse a handshake with a status and lines of fields. */
async function bare(answer: (count: number) => string | undefined = () => undefined): Promise<Bare> {
  const [requests, sockets]: [IncomingMessage[], WebSocket[]] = [[], []]
  const server: Server = createServer(secureServerOptions(tls))
  const library = new WebSocketServer({ noServer: true })
  server.on('upgrade', (request, socket, head) => {
    requests.push(request)
    const refusal = answer(requests.length)
    if (refusal !== undefined) return void socket.end(`HTTP/1.1 ${refusal}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
    library.handleUpgrade(request, socket, head, (made) => {
      sockets.push(made)
      made.on('message', (data, isBinary) => made.send(data, { binary: isBinary }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  opened.push({
    close: () => {
      for (const socket of sockets) socket.terminate()
      server.close()
    },
  })
  return { port: (server.address() as AddressInfo).port, requests, sockets }
}

async function client(
  port: number,
  options: Partial<ConnectOptions> = {},
): Promise<WebSocketClient & { readonly messages: (string | Buffer)[] }> {
  const messages: (string | Buffer)[] = []
  const made = await connect({
    url: `wss://localhost:${port}/feed`,
    tls: tls.client,
    onMessage: (message) => messages.push(message),
    clock,
    random: () => 1,
    ...options,
  })
  opened.push(made)
  return Object.assign(made, { messages })
}

/** Lets what is under way on the sockets happen, and then time pass. */
async function later(byMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 30))
  await clock.advanceAsync(byMs)
}

describe('a client', () => {
  it('presents its credential to the origin that it connects to, and speaks with a server of another make', async () => {
    const { source, asked } = bearers('alice')
    const { port, requests } = await bare()
    const one = await client(port, { credentials: source, protocols: ['orders.v1'] })
    await one.send('text')
    await one.send(Buffer.from([1, 2, 3]))
    await until(() => one.messages.length === 2)
    expect(one.messages).toEqual(['text', Buffer.from([1, 2, 3])])
    expect([one.connected, one.protocol]).toEqual([true, 'orders.v1'])
    expect(requests[0]?.headers).toMatchObject({ authorization: 'Bearer alice', 'sec-websocket-protocol': 'orders.v1' })
    expect(asked).toMatchObject([
      { target: { origin: `https://localhost:${port}`, secure: true }, binding: { method: 'GET', uri: `https://localhost:${port}/feed` } },
    ])
    await one.close()
    expect([one.connected, await one.ended]).toEqual([false, undefined])
    await expect(one.send('late')).rejects.toMatchObject({ code: 'ERR_WEBSOCKET_CLOSED' })
  })

  it('presents a proof made for the handshake', async () => {
    const source: BoundSource = ({ binding }) => ({
      credential: { kind: 'dpop', carrier: 'authorization', token: secret('t'), proof: `${binding.method} ${binding.uri}` },
    })
    const { port, requests } = await bare()
    await client(port, { credentials: source })
    expect(requests[0]?.headers).toMatchObject({ authorization: 'DPoP t', dpop: `GET https://localhost:${port}/feed` })
  })

  it('takes a refused credential back once, and never sends it twice', async () => {
    const { source, asked } = bearers('stale', 'alice')
    const { port, requests } = await bare((count) =>
      count === 1 ? '401 Unauthorized\r\nwww-authenticate: Bearer error="invalid_token"' : undefined,
    )
    await client(port, { credentials: source })
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer stale', 'Bearer alice'])
    expect(asked[1]?.refused).toMatchObject({ kind: 'bearer' })
  })

  it.each([
    ['401 Unauthorized\r\nwww-authenticate: Bearer error="invalid_token"', 'ERR_WEBSOCKET_REFUSED', 2],
    ['401 Unauthorized\r\nwww-authenticate: Bearer', 'ERR_WEBSOCKET_REFUSED', 1],
    ['401 Unauthorized\r\nwww-authenticate: Basic realm="x"', 'ERR_WEBSOCKET_REFUSED', 1],
    ['400 Bad Request', 'ERR_WEBSOCKET_REFUSED', 1],
    ['403 Forbidden', 'ERR_WEBSOCKET_FORBIDDEN', 1],
    ['503 Service Unavailable', 'ERR_WEBSOCKET_UNAVAILABLE', 1],
    ['302 Found\r\nlocation: https://elsewhere.example/', 'ERR_WEBSOCKET_UNAVAILABLE', 1],
    ['200 OK', 'ERR_WEBSOCKET_UNAVAILABLE', 1],
    ['101 Switching Protocols\r\nupgrade: websocket', 'ERR_WEBSOCKET_UNAVAILABLE', 1],
  ] as const)('that is answered %j rejects, after asking its source as often as that can help', async (answer, code, times) => {
    const { source, asked } = bearers('alice')
    const { port, requests } = await bare(() => answer)
    await expect(client(port, { credentials: source })).rejects.toMatchObject({ code })
    expect([asked.length, requests.length]).toEqual([times, 1])
  })

  it('leaves no connection open for what a handshake cannot say', async () => {
    const closed = Promise.withResolvers<void>()
    const server = createServer(secureServerOptions(tls)).on('connection', (socket) => socket.on('close', closed.resolve))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    opened.push({ close: () => server.close().closeAllConnections() })
    await expect(client((server.address() as AddressInfo).port, { protocols: ['a b'] })).rejects.toThrow(SyntaxError)
    await closed.promise
  })

  it('waits for no answer for ever', async () => {
    const server = createServer(secureServerOptions(tls))
    server.on('upgrade', () => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    server.on('connection', (socket) => opened.push({ close: () => socket.destroy() }))
    opened.push({ close: () => server.close() })
    const waiting = client((server.address() as AddressInfo).port, { handshakeMs: 5_000 })
    await until(() => clock.pending > 0)
    clock.advance(5_000)
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_WEBSOCKET_UNAVAILABLE' })
  })

  it.each([
    ['in clear', { url: 'ws://localhost:1/' }, 'ERR_OPTION_INVALID'],
    ['of another protocol', { url: 'https://localhost:1/' }, 'ERR_OPTION_INVALID'],
    ['with a password in it', { url: 'wss://alice:secret@localhost:1/' }, 'ERR_OPTION_INVALID'],
    ['with a fragment', { url: 'wss://localhost:1/#a' }, 'ERR_OPTION_INVALID'],
  ])('refuses a URL %s', async (_, options, code) => {
    await expect(client(1, options)).rejects.toMatchObject({ code })
  })

  it.each([
    ['a misspelt option', { reconect: false }, 'ERR_OPTION_UNKNOWN'],
    ['a source that is undefined', { credentials: undefined }, 'ERR_OPTION_MISSING'],
    ['a wait of nothing', { reconnect: { initialMs: 0 } }, 'ERR_OPTION_INVALID'],
    ['a misspelt wait', { reconnect: { maxMS: 1 } }, 'ERR_OPTION_UNKNOWN'],
    ['no attempts', { reconnect: { maxAttempts: 0 } }, 'ERR_OPTION_INVALID'],
    ['no handler', { onMessage: undefined }, 'ERR_OPTION_MISSING'],
  ])('is not made with %s', async (_, options, code) => {
    await expect(client(1, options as never)).rejects.toMatchObject({ code })
  })

  it('sends nothing for a credential that a handshake has no place for', async () => {
    const source: CredentialSource = () => ({ credential: { kind: 'envelope', carrier: 'message', envelope: 'x' } })
    const { port, requests } = await bare()
    await expect(client(port, { credentials: source })).rejects.toMatchObject({ code: 'ERR_WEBSOCKET_CREDENTIAL' })
    expect(requests).toEqual([])
  })

  it('believes no frame of a server that has not named the tag in its answer', async () => {
    const { source, asked } = bearers('alice')
    const { port, sockets } = await bare()
    const one = await client(port, { credentials: source })
    const text = 'portcullis:0123456789012345678901 {"type":"expiring","expiresAt":"2026-01-01T00:00:00Z"}'
    sockets[0]?.send(text)
    await until(() => one.messages.length === 1)
    expect([one.messages, asked.length]).toEqual([[text], 1])
  })

  it('that has heard nothing for too long takes the connection for dead', async () => {
    const { port, sockets } = await bare()
    await client(port, { idleMs: 100 })
    // It neither answers pings nor closes.
    sockets[0]?.pause()
    await until(() => clock.pending === 1)
  })
})

describe('a client whose connection ended', () => {
  it('comes back with a credential that is fetched for it', async () => {
    const { source } = bearers('alice', 'alice-600', 'alice-700')
    const { port, requests, sockets } = await bare()
    let opens = 0
    const one = await client(port, { credentials: source, onOpen: () => opens++ })
    for (const [round, end] of [(socket?: WebSocket) => socket?.terminate(), (socket?: WebSocket) => socket?.close(1012)].entries()) {
      end(sockets[round])
      await until(() => !one.connected)
      await expect(one.send('lost')).rejects.toMatchObject({ code: 'ERR_WEBSOCKET_CLOSED' })
      await later(60_000)
      await until(() => one.connected)
    }
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer alice', 'Bearer alice-600', 'Bearer alice-700'])
    expect(opens).toBe(3)
  })

  it('tells its source which credential a 4401 has refused', async () => {
    const { source, asked } = bearers('alice', 'alice-600')
    const { port, sockets } = await bare()
    const one = await client(port, { credentials: source })
    sockets[0]?.close(4401)
    await until(() => !one.connected)
    await later(1_000)
    await until(() => one.connected)
    expect(asked[1]?.refused).toMatchObject({ kind: 'bearer' })
  })

  it('gives up after a 4401 if its source has no other', async () => {
    const { source } = bearers('alice')
    const { port, requests, sockets } = await bare()
    const one = await client(port, { credentials: source })
    sockets[0]?.close(4401)
    await until(() => !one.connected)
    await later(1_000)
    expect(await one.ended).toMatchObject({ code: 'ERR_WEBSOCKET_REFUSED' })
    expect(requests).toHaveLength(1)
  })

  it('gives up after a 4401 if its source says that it has no other, here and in a client made later', async () => {
    const { port, requests, sockets } = await bare()
    const credentials = bearerToken({ token: 'alice', targets: [`https://localhost:${port}`] })
    const one = await client(port, { credentials })
    sockets[0]?.close(4401)
    await until(() => !one.connected)
    await later(1_000)
    expect(await one.ended).toMatchObject({ code: 'ERR_WEBSOCKET_REFUSED', cause: { code: 'ERR_SOURCE_EXHAUSTED' } })
    await expect(client(port, { credentials })).rejects.toMatchObject({ code: 'ERR_WEBSOCKET_REFUSED' })
    expect([requests.length, clock.pending]).toEqual([1, 0])
  })

  it.each([
    [4403, 'ERR_WEBSOCKET_FORBIDDEN'],
    [1008, 'ERR_WEBSOCKET_FORBIDDEN'],
    [1003, 'ERR_WEBSOCKET_FORBIDDEN'],
    [4999, 'ERR_WEBSOCKET_FORBIDDEN'],
    [1000, 'ERR_WEBSOCKET_CLOSED'],
  ])('with %i stays away', async (code, expected) => {
    const { port, sockets, requests } = await bare()
    const one = await client(port)
    sockets[0]?.close(code)
    expect(await one.ended).toMatchObject({ code: expected })
    await later(120_000)
    expect(requests).toHaveLength(1)
  })

  it('waits longer each time, up to a bound, and no longer than it was told to', async () => {
    const { port, requests, sockets } = await bare((count) => (count === 1 ? undefined : '503 Service Unavailable'))
    const waits: number[] = []
    const recorded: Clock = {
      now: () => clock.now(),
      schedule: (delayMs, task) => {
        // Not the limit of the handshakes.
        if (delayMs < 10_000) waits.push(delayMs)
        return clock.schedule(delayMs, task)
      },
    }
    const one = await client(port, { reconnect: { initialMs: 1_000, maxMs: 5_000, maxAttempts: 5 }, clock: recorded })
    sockets[0]?.terminate()
    for (let attempt = 1; attempt <= 5; attempt++) {
      await until(() => waits.length === attempt)
      clock.advance(5_000)
      await until(() => requests.length === attempt + 1)
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 5_000, 5_000])
    expect(await one.ended).toMatchObject({ code: 'ERR_WEBSOCKET_UNAVAILABLE' })
  })

  it('waits longer too where it comes in and is thrown out at once; a connection that has lasted is a new beginning', async () => {
    const { port, sockets } = await bare()
    const waits: number[] = []
    const recorded: Clock = {
      now: () => clock.now(),
      schedule: (delayMs, task) => {
        if (delayMs < 10_000) waits.push(delayMs)
        return clock.schedule(delayMs, task)
      },
    }
    const one = await client(port, { clock: recorded })
    for (const [round, livedMs] of [0, 9_999, 0, 10_000].entries()) {
      await clock.advanceAsync(livedMs)
      sockets[round]?.close(1012)
      await until(() => waits.length === round + 1)
      clock.advance(8_000)
      await until(() => one.connected)
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 1_000])
  })

  it('heeds how long the listener asks it to wait', async () => {
    const { port, requests, sockets } = await bare((count) => (count === 2 ? '503 Service Unavailable\r\nretry-after: 30' : undefined))
    const one = await client(port)
    sockets[0]?.terminate()
    await until(() => !one.connected)
    await later(1_000)
    await until(() => requests.length === 2)
    await later(29_000)
    expect(requests).toHaveLength(2)
    await later(1_000)
    await until(() => one.connected)
  })

  it('tries again when its source had an outage', async () => {
    let down = false
    const source: CredentialSource = () => {
      if (down) throw new UnavailableError('ERR_TEST_DOWN', 'down')
      return { credential: { kind: 'bearer', carrier: 'authorization', token: secret('alice') } }
    }
    const { port, requests, sockets } = await bare()
    const one = await client(port, { credentials: source })
    down = true
    sockets[0]?.terminate()
    await until(() => !one.connected)
    await later(1_000)
    down = false
    await later(2_000)
    await until(() => one.connected)
    expect(requests).toHaveLength(2)
  })

  it('does not come back once it was closed, and not if it was told not to', async () => {
    const { port, requests, sockets } = await bare()
    const [one, other] = [await client(port), await client(port, { reconnect: false })]
    sockets[0]?.terminate()
    await until(() => !one.connected)
    await one.close()
    sockets[1]?.terminate()
    expect(await other.ended).toMatchObject({ code: 'ERR_WEBSOCKET_CLOSED' })
    await later(120_000)
    expect(requests).toHaveLength(2)
    expect(clock.pending).toBe(0)
  })
})

describe('a client of a listener of ours', () => {
  let events: AuditEvent[] = []
  let listener: WebSocketListener<Principal>

  beforeEach(async () => {
    events = []
    const policy = guard({
      authenticate: tokens(() => clock.now()),
      authorize: scope('orders:read'),
      clock,
      audit: (event) => events.push(event),
    })
    listener = await serve({ tls, guard: policy, port: 0, path: '/feed', session: { warnBeforeMs: 10_000 } }, (socket) => {
      socket.on('message', (data: Buffer) => socket.send(data.toString()))
    })
    opened.push(listener)
  })
  const renewals = (): number => events.filter(({ type }) => type === 'reauthenticated').length
  /** A source whose tokens last so many seconds, and of which it says so, or not. */
  const lasting = (seconds: number, says: boolean): CredentialSource & { readonly asked: object[] } => {
    const asked: object[] = []
    const source: CredentialSource = (request) => {
      asked.push(request)
      return {
        // Another each time, by its length.
        credential: { kind: 'bearer', carrier: 'authorization', token: secret(`alice-${seconds + asked.length / 1000}`) },
        ...(says && { expiresAt: new Date(clock.now() + seconds * 1000) }),
      }
    }
    return Object.assign(source, { asked })
  }

  it('renews ahead of the expiry that its source names, before the listener warns', async () => {
    const one = await client(listener.port, { credentials: lasting(100, true) })
    await later(70_000)
    await until(() => renewals() === 1)
    expect(events.filter(({ type }) => type === 'sessionWarning')).toHaveLength(0)
    await later(70_000)
    await until(() => renewals() === 2)
    await one.send('still here')
    await until(() => one.messages.length === 1)
    expect(one.messages).toEqual(['still here'])
  })

  it.each([2, 5, 60])('renews tokens of %i s in band over a source that caches until the last fifth', async (seconds) => {
    const source = lasting(seconds, true)
    const one = await client(listener.port, { credentials: cached(source, { clock }), reconnect: false })
    // Steps as short as the client's own, with time in between for the frames on the sockets.
    for (let step = 0; renewals() < 3 && step < 60; step++) await later(seconds * 50)
    expect([renewals(), one.connected]).toEqual([3, true])
    // The source was asked for what was presented, and for nothing else.
    expect(source.asked).toHaveLength(4)
  })

  it('asks a source that has no newer credential a bounded number of times', async () => {
    let asked = 0
    const expiresAt = new Date(clock.now() + 5_000)
    const same: CredentialSource = () => {
      asked++
      return { credential: { kind: 'bearer', carrier: 'authorization', token: secret('alice') }, expiresAt }
    }
    await client(listener.port, { credentials: same })
    for (let step = 0; step < 100; step++) await clock.advanceAsync(100)
    expect(asked).toBeGreaterThan(5)
    expect(asked).toBeLessThan(20)
  })

  it('renews when the listener warns, if its source names no expiry', async () => {
    const one = await client(listener.port, { credentials: lasting(100, false) })
    await later(90_100)
    await until(() => renewals() === 1)
    await later(50_000)
    await one.send('still here')
    await until(() => one.messages.length === 1)
  })

  it('does not repeat a credential that it has presented, and comes back when its time is over', async () => {
    const { source, asked } = bearers('alice-100', 'alice-100', 'alice-200')
    const one = await client(listener.port, { credentials: source })
    await later(90_000)
    await until(() => asked.length === 2)
    expect(renewals()).toBe(0)
    await later(10_100)
    await until(() => !one.connected)
    await later(1_000)
    await until(() => one.connected)
    expect(asked[2]).toHaveProperty('refused')
  })

  it('sends another credential if the renewal was refused, once', async () => {
    const { source, asked } = bearers('alice-100', 'mallory', 'eve', 'alice-300')
    await client(listener.port, { credentials: source, reconnect: false })
    await later(90_000)
    await until(() => asked.length === 3)
    await later(5_000)
    await later(5_000)
    expect(asked).toHaveLength(3)
    expect(asked[2]).toHaveProperty('refused')
    expect(events.filter((event) => event.type === 'decision' && event.code === 'ERR_TEST_UNKNOWN')).toHaveLength(2)
  })

  it('takes a source that fails for a reason to try again, not to hang up', async () => {
    let calls = 0
    const source = lasting(100, true)
    const failing: CredentialSource = (request) => {
      if (++calls === 2) throw new UnavailableError('ERR_TEST_DOWN', 'down')
      return source(request)
    }
    await client(listener.port, { credentials: failing })
    await later(70_000)
    await until(() => calls === 2)
    await later(16_000)
    await until(() => renewals() === 1)
  })

  it('stays away once it is revoked and its source has no other credential', async () => {
    const { source } = bearers('alice')
    const one = await client(listener.port, { credentials: source })
    revocations.get('alice')?.revoke('left')
    await until(() => !one.connected)
    await later(1_000)
    expect(await one.ended).toMatchObject({ code: 'ERR_WEBSOCKET_REFUSED' })
  })
})
