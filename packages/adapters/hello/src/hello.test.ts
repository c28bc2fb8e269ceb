import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect as connectPlain } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectSecure, type TLSSocket } from 'node:tls'

import {
  everyone,
  guard,
  isSecurityError,
  secret,
  UnavailableError,
  type AuditEvent,
  type CredentialSource,
  type Guard,
} from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { jwt } from '@portcullis/jwt'
import { asUser, testIssuer, testPki, type TestIssuer } from '@portcullis/testkit'
import { tlsBundle } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest'

import { connect, type HelloClient } from './client.ts'
import { linesOf, maxLineLength } from './lines.ts'
import { serve, type HelloListener, type Operation, type ServeOptions } from './listener.ts'
import { present } from './present.ts'

let tls: DevelopmentTls
let issuer: TestIssuer
let orders: Guard
let events: AuditEvent[]
let listener: HelloListener | undefined
const closing: (() => void)[] = []

beforeAll(async () => {
  tls = await developmentTls()
})

beforeEach(() => {
  issuer = testIssuer()
  events = []
  const { audience, jwks, clock, revocations } = issuer
  orders = guard({
    authenticate: jwt({ issuer: issuer.issuer, audience, keys: { jwks }, clock, revocations }),
    clock,
    audit: (event) => void events.push(event),
  })
})

afterEach(async () => {
  for (const close of closing.splice(0)) close()
  await listener?.close()
  listener = undefined
})

async function listen(operations: Readonly<Record<string, Operation>>): Promise<number> {
  listener = await serve({ tls: tls.server, guard: orders, operations })
  return listener.port
}

async function clientOf(port: number, source = asUser(issuer).source): Promise<HelloClient> {
  const client = await connect({ host: 'localhost', port, tls: tls.client, source })
  closing.push(() => client.close())
  return client
}

/** A peer that keeps all that it reads. */
async function peerOf(port: number): Promise<{ readonly socket: TLSSocket; readonly lines: string[]; readonly over: Promise<void> }> {
  const socket = connectSecure({ host: '127.0.0.1', port, ca: tls.authority, servername: 'localhost' })
  socket.on('error', () => undefined)
  closing.push(() => socket.destroy())
  await once(socket, 'secureConnect')
  const lines: string[] = []
  const read = async (): Promise<void> => {
    for await (const line of linesOf(socket)) lines.push(line)
  }
  return { socket, lines, over: read().catch(() => undefined) }
}

const answering = (text: string): Operation => ({ answer: () => text })

test('a listener without a guard is an error, and so is a misspelt option', async () => {
  const operations = { 'read orders': answering('none') }
  // @ts-expect-error A listener without a guard does not compile.
  const withoutGuard: ServeOptions = { tls: tls.server, operations }
  await expect(serve(withoutGuard)).rejects.toMatchObject({ code: 'ERR_GUARD_MISSING' })
  // @ts-expect-error Neither does a guard that is undefined.
  const undefinedGuard: Operation = { ...answering('x'), guard: undefined }
  await expect(serve({ tls: tls.server, guard: orders, operations: { 'read orders': undefinedGuard } })).rejects.toMatchObject({
    code: 'ERR_GUARD_MISSING',
  })
  // @ts-expect-error Nor an option that does not exist.
  await expect(serve({ tls: tls.server, guard: orders, operations, hots: '0.0.0.0' })).rejects.toMatchObject({ code: 'ERR_OPTION_UNKNOWN' })
})

test('an answer is one line, whatever is in it', async () => {
  const client = await clientOf(await listen({ 'read orders': answering('one\nOK "two"\n"three"') }))
  expect(await client.call('read', 'orders')).toBe('one\nOK "two"\n"three"')
})

test('a line break within a call never reaches the listener', async () => {
  const client = await clientOf(await listen({ 'read orders': answering('orders'), 'read secrets': answering('secrets') }))
  await expect(client.call('read', 'orders\nread secrets')).rejects.toMatchObject({ code: 'ERR_HELLO_LINE' })
  await expect(client.call('read', 'orders')).resolves.toBe('orders')
  expect(events.filter(({ type }) => type === 'decision')).toHaveLength(2) // AUTH and one call
})

test('a refusal is told apart by the family of its error', async () => {
  const client = await clientOf(
    await listen({
      'read orders': {
        guard: orders.with({ authorize: () => ({ outcome: 'forbid', code: 'ERR_POLICY_FORBIDDEN', advice: undefined, leaf: 'no' }) }),
        answer: () => '',
      },
    }),
  )
  await expect(client.call('read', 'orders')).rejects.toMatchObject({ family: 'authorization' })
  await expect(client.call('read', 'nothing')).rejects.toMatchObject({ family: 'authorization' })
  await expect(client.call('constructor', '')).rejects.toMatchObject({ family: 'authorization' })
})

test('a fault of a handler is in the audit trail and not on the wire', async () => {
  const port = await listen({
    'read orders': {
      answer() {
        throw new Error('disk 7 is broken')
      },
    },
  })
  const { message } = (await (await clientOf(port)).call('read', 'orders').catch((error: unknown) => error)) as Error
  expect(message).not.toContain('disk')
  expect(events).toContainEqual(
    expect.objectContaining({ type: 'warning', code: 'ERR_INTERNAL', cause: expect.objectContaining({ message: 'disk 7 is broken' }) }),
  )
})

test('the client renews before the end, as often as it must', async () => {
  const port = await listen({ 'read orders': answering('still here') })
  const lifetimes = { expiresInSeconds: 60 }
  const client = await clientOf(port, ({ target, refused }) => asUser(issuer, lifetimes).source({ target, ...(refused && { refused }) }))
  for (let renewals = 1; renewals <= 5; renewals++) {
    await issuer.clock.advanceAsync(31_000)
    await expect.poll(() => events.filter(({ type }) => type === 'reauthenticated').length).toBe(renewals)
  }
  expect(await client.call('read', 'orders')).toBe('still here')
})

test('who proves nothing in time is cut off; who follows in silence is not', async () => {
  const port = await listen({ 'follow orders': { follow: () => () => undefined } })
  const silent = await peerOf(port)
  const follower = await peerOf(port)
  follower.socket.write(`AUTH Bearer ${issuer.token({ expiresInSeconds: 3600 })}\nfollow orders\n`)
  await expect.poll(() => follower.lines).toEqual(['OK', 'OK'])
  await issuer.clock.advanceAsync(10_000)
  await silent.over
  expect(silent.lines).toEqual(['BYE closed'])
  expect(follower.socket.closed).toBe(false)
})

test('a line beyond the bound ends the connection before its end has come', async () => {
  const peer = await peerOf(await listen({ 'read orders': answering('x') }))
  peer.socket.write('A'.repeat(maxLineLength + 1))
  await peer.over
  expect(peer.lines).toEqual(['BYE closed'])
})

test('no more than a handful can be followed', async () => {
  const operations = Object.fromEntries(
    Array.from({ length: 17 }, (_, at) => [`follow feed${at}`, { follow: () => () => undefined } satisfies Operation]),
  )
  const client = await clientOf(await listen(operations))
  for (let at = 0; at < 16; at++) await client.follow(`feed${at}`, () => undefined)
  await expect(client.follow('feed16', () => undefined)).rejects.toMatchObject({ family: 'unavailable' })
})

test('who does not read what it follows is cut off', async () => {
  let push: ((text: string) => void) | undefined
  const stopped = Promise.withResolvers<void>()
  const port = await listen({
    'follow orders': {
      follow(_principal, to) {
        push = to
        return stopped.resolve
      },
    },
  })
  const peer = await peerOf(port)
  peer.socket.write(`AUTH Bearer ${issuer.token()}\nfollow orders\n`)
  await expect.poll(() => peer.lines.length).toBe(2)
  peer.socket.pause()
  for (let at = 0; at < 1000; at++) push?.('x'.repeat(64 * 1024))
  await stopped.promise
})

test('nothing is delivered once the clock was set past the expiry, though no timer has run', async () => {
  let push: ((text: string) => void) | undefined
  const port = await listen({
    'follow orders': {
      follow(_principal, to) {
        push = to
        return () => undefined
      },
    },
  })
  const peer = await peerOf(port)
  peer.socket.write(`AUTH Bearer ${issuer.token()}\nfollow orders\n`)
  await expect.poll(() => peer.lines).toEqual(['OK', 'OK'])
  push?.('in time')
  issuer.clock.step(issuer.clock.now() + 300_000)
  push?.('too late')
  await peer.over
  expect(peer.lines).toEqual(['OK', 'OK', 'NEWS orders "in time"', 'BYE expired'])
})

test('a refused credential of a source that has no other is a refusal, not an outage', async () => {
  const port = await listen({})
  const refusals: unknown[] = []
  const exhausted = new UnavailableError('ERR_SOURCE_EXHAUSTED', 'There is no other.')
  const source: CredentialSource = ({ refused }) => {
    refusals.push(refused)
    if (refused !== undefined) throw exhausted
    return { credential: { kind: 'bearer', carrier: 'authorization', token: secret(`${issuer.token().slice(0, -4)}AAAA`) } }
  }
  await expect(clientOf(port, source)).rejects.toMatchObject({ code: 'ERR_HELLO_REFUSED', family: 'authentication', cause: exhausted })
  expect(refusals).toMatchObject([undefined, { kind: 'bearer' }])
})

test('a connection has one subject: an operation that proves another is refused', async () => {
  const other = testIssuer({ clock: issuer.clock, issuer: 'https://other.test' })
  const table = jwt({
    issuers: [
      { issuer: issuer.issuer, audience: issuer.audience, keys: { jwks: issuer.jwks } },
      { issuer: other.issuer, audience: other.audience, keys: { jwks: other.jwks } },
    ],
    clock: issuer.clock,
  })
  const port = await listen({
    'read orders': answering('mine'),
    'read others': { guard: guard({ authenticate: table, clock: issuer.clock }), ...answering('theirs') },
  })
  const peer = await peerOf(port)
  peer.socket.write(`AUTH Bearer ${issuer.token()}\nread orders\nAUTH Bearer ${other.token()}\nread others\n`)
  await expect.poll(() => peer.lines.length).toBe(4)
  expect(peer.lines).toEqual([
    'OK',
    'OK "mine"',
    expect.stringMatching(/^REFUSED credential-refused Bearer error="invalid_token"/),
    'OK "theirs"',
  ])
})

test('what is open to everyone needs no AUTH at all', async () => {
  const peer = await peerOf(await listen({ 'read health': { guard: orders.with({ authenticate: everyone() }), ...answering('well') } }))
  peer.socket.write('read health\n')
  await expect.poll(() => peer.lines).toEqual(['OK "well"'])
})

test('a listener that stops says so', async () => {
  const peer = await peerOf(await listen({ 'read orders': answering('x') }))
  peer.socket.write(`AUTH Bearer ${issuer.token()}\n`)
  await expect.poll(() => peer.lines).toEqual(['OK'])
  await listener?.close()
  await peer.over
  expect(peer.lines.at(-1)).toBe('BYE shutdown')
  await expect.poll(() => events).toContainEqual(expect.objectContaining({ type: 'sessionEnded', message: 'shutdown' }))
})

test('a TLS bundle that the listener made ends with it; one that it was given does not', async () => {
  const pki = await testPki(issuer.clock.now())
  const options = { side: 'server', identity: { pem: pki.servers.sound.pem }, clock: issuer.clock } as const
  const own = await serve({ tls: options, guard: orders, operations: {} })
  expect(issuer.clock.pending).toBe(1)
  await own.close()
  expect(issuer.clock.pending).toBe(0)
  const given = await tlsBundle(options)
  await (await serve({ tls: given, guard: orders, operations: {} })).close()
  expect(issuer.clock.pending).toBe(1)
  given.close()
})

test('nothing is left behind where it cannot listen or connect', async () => {
  const port = await listen({})
  const pki = await testPki()
  const clock = manualClock(Date.now())
  const own = { side: 'server', identity: { pem: pki.servers.sound.pem }, clock } as const
  await expect(serve({ tls: own, guard: orders, operations: {}, port })).rejects.toMatchObject({ code: 'EADDRINUSE' })
  expect(clock.pending).toBe(0)
  const folder = await mkdtemp(join(tmpdir(), 'portcullis-hello-'))
  closing.push(() => void rm(folder, { recursive: true }))
  const trust = { pemFile: join(folder, 'authority.pem') }
  await writeFile(trust.pemFile, tls.authority)
  await listener?.close()
  await expect(connect({ host: 'localhost', port, tls: { side: 'client', trust, clock } })).rejects.toMatchObject({
    code: 'ERR_TLS_CONNECT',
  })
  expect(clock.pending).toBe(0)
})

test('a listener that stops takes nobody any more, and waits for no handshake', async () => {
  const port = await listen({ 'read health': { guard: orders.with({ authenticate: everyone() }), ...answering('well') } })
  const silent = connectPlain(port, '127.0.0.1')
  const late = connectPlain(port, '127.0.0.1')
  await Promise.all([once(silent, 'connect'), once(late, 'connect')])
  // The listener has both by the time that it has answered a third.
  const third = await peerOf(port)
  third.socket.write('read health\n')
  await expect.poll(() => third.lines).toEqual(['OK "well"'])
  const closed = listener?.close()
  const secure = connectSecure({ socket: late, ca: tls.authority, servername: 'localhost' }).on('error', () => undefined)
  let heard = ''
  secure.on('data', (chunk) => (heard += String(chunk)))
  secure.write('read health\n')
  await closed
  expect(heard).toBe('')
})

test('a credential that the protocol has no form for is the mistake of whoever configured it', () => {
  const { token } = asUser(issuer)
  const error = (() => {
    try {
      return present({ kind: 'apiKey', carrier: 'header:x', name: 'x', key: { reveal: () => token } as never })
    } catch (thrown) {
      return thrown
    }
  })()
  expect(isSecurityError(error, 'ERR_HELLO_CREDENTIAL')).toBe(true)
})
