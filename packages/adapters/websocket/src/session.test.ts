import { allOf, authenticator, credentialOf, guard, notMine, refused, scope, vouchForPrincipal } from '@portcullis/core'
import { describe, expect, it } from 'vitest'
import { endings, refusals, type GuardedSocket, type Principal } from './index.ts'
import { clock, events, judgedBy, listener, peer, policy, serving, taken, tls } from './serving.test-support.ts'
import { gate, revocations, tokens, slowPeer, until } from './service.test-support.ts'

/** The one connection that is open, from the listener's side. */
function only(): GuardedSocket {
  const [socket] = listener.sockets
  if (socket === undefined) throw new Error('Nobody is connected.')
  return socket
}
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
    const wire = await slowPeer(listener.port, tls.client, 'alice')
    await until(() => sockets.length === 1)
    const socket = sockets[0] as GuardedSocket
    for (let sent = 0; sent < 400; sent++) socket.send(Buffer.alloc(65_536))
    expect(socket.bufferedAmount).toBeGreaterThan(1_000_000)
    await pause()
    revocations.get('alice')?.revoke('left')
    // It begins to read again at that very moment.
    let read = 0
    wire.on('data', (data: Buffer) => (read += data.byteLength)).resume()
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
    const [one, wire] = [await peer(), await slowPeer(listener.port, tls.client, 'alice')]
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
    const seen: unknown[] = []
    const recording = authenticator('recording', ({ credentials, binding }) => {
      seen.push([credentials.map(({ kind }) => kind), binding?.method])
      return vouchForPrincipal({ issuer: 'tests', subject: 'alice' })
    })
    judgedBy(guard({ authenticate: recording, clock }))
    await serving()
    const one = await peer({ headers: { authorization: 'DPoP alice', dpop: 'proof' } })
    one.authenticate('Bearer alice')
    await until(() => one.frames.length === 1)
    one.authenticate('DPoP alice')
    await until(() => one.frames.length === 2)
    expect(one.frames).toMatchObject([{ type: 'authenticated' }, { type: 'refused', reason: 'malformed' }])
    expect(seen).toEqual([
      [['dpop'], 'GET'],
      [['bearer'], undefined],
    ])
  })

  it('as another subject closes with 1008', async () => {
    judgedBy(guard({ authenticate: tokens(), clock, audit: (event) => events.push(event) }))
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

  it('of one factor renews the others too, which are judged again as they were last', async () => {
    const keys = { valid: 'alice' }
    const key = authenticator('key', (request) => {
      const basic = credentialOf(request.credentials, 'basic')
      if (basic === undefined) return notMine
      return basic.username === keys.valid ? vouchForPrincipal({ issuer: 'keys', subject: 'k' }) : refused('ERR_TEST_KEY')
    })
    judgedBy(
      guard({
        authenticate: allOf(
          tokens(() => clock.now()),
          key,
        ),
        clock,
        audit: (event) => events.push(event),
      }),
    )
    await serving({ protocols: ['orders'] })
    const basic = (name: string): string => `Basic ${Buffer.from(`${name}:secret`).toString('base64')}`
    // One stands in the field in whose form the frame comes, the other in a sub-protocol.
    const one = await peer({ headers: { authorization: basic('alice') }, protocols: ['orders', 'bearer.alice-60'] })
    const renew = async (authorization: string, count: number): Promise<string | undefined> => {
      one.authenticate(authorization)
      await until(() => one.frames.length === count)
      return one.frames.at(-1)?.type
    }
    expect(await renew('Bearer alice-120', 1)).toBe('authenticated')
    keys.valid = 'renamed'
    expect(await renew('Bearer alice-180', 2)).toBe('refused')
    expect(await renew(basic('renamed'), 3)).toBe('authenticated')
    expect(await renew('Bearer alice-180', 4)).toBe('authenticated')
  })
})
