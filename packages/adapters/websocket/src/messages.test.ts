import { forbid, granted } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { type GuardedSocket, type ServeOptions } from './index.ts'
import { clock, events, listener, peer, policy, serving, taken, tls } from './serving.test-support.ts'
import { open, revocations, slowPeer, until, type Peer } from './service.test-support.ts'

const codes = (): (string | undefined)[] => events.map((event) => ('code' in event ? event.code : undefined))
const pause = (ms = 40): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

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
    const wire = await slowPeer(listener.port, tls.client, 'alice')
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
    const [alive, wire] = [await peer(), await slowPeer(listener.port, tls.client, 'alice')]
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
    const wire = await slowPeer(listener.port, tls.client, 'alice')
    wire.resume()
    // Not masked (RFC 6455 section 5.1).
    wire.write(Buffer.from([0x81, 0x02, 0x68, 0x69]))
    await new Promise((resolve) => wire.once('close', resolve))
    await until(() => listener.sockets.size === 0)
    expect(taken).toEqual([])
  })
})
