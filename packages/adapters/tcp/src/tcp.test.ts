import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect as connectPlain, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectBare } from 'node:tls'
import {
  AuthenticationError,
  authenticator,
  Revocation,
  secret,
  vouchForPrincipal,
  type AuditEvent,
  type CredentialSource,
  type Principal,
} from '@portcullis/core'
import { manualClock } from '@portcullis/core/testing'
import { testPki } from '@portcullis/testkit'
import { clientCertificate, tlsBundle } from '@portcullis/tls'
import { developmentTls } from '@portcullis/tls/development'
import { describe, expect, it } from 'vitest'
import { connect, guard, serve, type ServeOptions } from './index.ts'

const tls = await developmentTls()

function setUp(options: Partial<ServeOptions> = {}, init: { readonly expiresAt?: Date; readonly revocation?: Revocation } = {}) {
  const clock = manualClock()
  const events: AuditEvent[] = []
  const authenticate = authenticator('x', ({ credentials: [credential] }) => {
    if (credential?.kind !== 'bearer' || credential.token.reveal() !== 'good') throw new AuthenticationError('ERR_TEST', 'no')
    return vouchForPrincipal({
      issuer: 'i',
      subject: 'alice',
      ...(init.expiresAt && { expiresAt: init.expiresAt }),
      ...(init.revocation && { revocations: [init.revocation] }),
    })
  })
  const guarded = guard({ authenticate, clock, audit: (event) => events.push(event) })
  const listen = (
    handler: Parameters<typeof serve<Principal>>[1] = ({ socket }) => void socket.pipe(socket),
    more: Partial<ServeOptions> = {},
  ) => serve({ tls: tls.server, guard: guarded, credentials: 'firstLine', ...options, ...more }, handler)
  return { clock, events, guarded, listen }
}
const source =
  (token = 'good'): CredentialSource =>
  () => ({ credential: { kind: 'bearer', carrier: 'authorization', token: secret(token) } })
const dial = (port: number, token?: string) => connect({ host: 'localhost', port, tls: tls.client, source: source(token) })
const bare = (port: number) => connectBare({ host: '127.0.0.1', port, ca: tls.authority, servername: 'localhost' })

describe('tcp', () => {
  it('hands the bytes behind the first line to the handler, all of them, however they were cut', async () => {
    await using listener = await setUp().listen()
    const socket = bare(listener.port)
    await once(socket, 'secureConnect')
    for (const part of ['Bea', 'rer good', '\r', '\nfirst ', 'second']) {
      socket.write(part)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    let heard = ''
    socket.on('data', (chunk) => (heard += String(chunk)))
    await expect.poll(() => heard).toBe('first second')
    socket.destroy()
  })

  it('closes who is refused, without a byte, and never calls the handler', async () => {
    let handled = 0
    const { listen, events } = setUp()
    await using listener = await listen(() => void handled++)
    const socket = await dial(listener.port, 'bad')
    let heard = ''
    socket.on('data', (chunk) => (heard += String(chunk))).on('error', () => undefined)
    await once(socket, 'close')
    expect([heard, handled]).toEqual(['', 0])
    expect(events).toMatchObject([{ type: 'decision', outcome: 'challenge', code: 'ERR_TEST' }])
    expect(JSON.stringify(events)).not.toContain('bad"')
  })

  it.each([
    ['too slow', '', 10_000],
    ['too long', `Bearer ${'a'.repeat(20_000)}`, 0],
  ])('closes a peer whose first line is %s', async (_, text, advanceMs) => {
    const { clock, listen, events } = setUp()
    await using listener = await listen()
    const socket = bare(listener.port).on('error', () => undefined)
    await once(socket, 'secureConnect')
    if (text !== '') socket.write(text)
    const closed = once(socket.resume(), 'close')
    await expect.poll(() => clock.pending).toBeGreaterThanOrEqual(text === '' ? 1 : 0)
    clock.advance(advanceMs)
    await closed
    expect(events).toMatchObject([{ type: 'warning', code: 'ERR_TCP_FIRST_LINE' }])
    expect(clock.pending).toBe(0)
  })

  it('ends at expiry with what was written before, and at revocation with nothing more', async () => {
    const start = manualClock().now()
    const expiring = setUp({}, { expiresAt: new Date(start + 60_000) })
    await using first = await expiring.listen(({ socket }) => void socket.write('hello'))
    const socket = await dial(first.port)
    let heard = ''
    socket.on('data', (chunk) => (heard += String(chunk)))
    await expect.poll(() => heard).toBe('hello')
    expiring.clock.advance(60_000)
    await once(socket, 'close')
    const revocation = new Revocation()
    const revoked = setUp({}, { revocation })
    let write = (): unknown => undefined
    await using second = await revoked.listen(({ socket: inner }) => void (write = () => inner.write('late')))
    const other = await dial(second.port)
    let late = ''
    other.on('data', (chunk) => (late += String(chunk))).on('error', () => undefined)
    await expect.poll(() => write).not.toBe(undefined)
    await expect.poll(() => revoked.clock.pending).toBe(1)
    revocation.revoke('gone')
    write()
    await once(other, 'close')
    expect(late).toBe('')
    await expect.poll(() => revoked.events.map((event) => event.type)).toContain('sessionEnded')
  })

  it('takes a client certificate as the only credential (T-1)', async () => {
    const mutual = await developmentTls({ clientCertificates: 'accept' })
    const authenticate = clientCertificate({
      tls: mutual.server,
      issuers: { development: { by: 'dns', principals: { 'alice.localhost': ['read'] } } },
    })
    await using listener = await serve(
      { tls: mutual.server, guard: guard({ authenticate }), credentials: 'certificate' },
      ({ socket }, { subject }) => void socket.end(subject),
    )
    const answer = async (client: typeof mutual.client): Promise<string> => {
      const socket = await connect({ host: 'localhost', port: listener.port, tls: client })
      let heard = ''
      socket.on('data', (chunk) => (heard += String(chunk))).on('error', () => undefined)
      await once(socket, 'close')
      return heard
    }
    expect(await answer(await mutual.clientFor('alice'))).toBe('alice.localhost')
    expect(await answer(await mutual.clientFor('mallory'))).toBe('')
    expect(await answer(mutual.client)).toBe('')
  })

  it('cuts a connection whose handler throws, and reports it', async () => {
    const { listen, events } = setUp()
    await using listener = await listen(() => Promise.reject(new Error('mine')))
    const socket = await dial(listener.port)
    socket.on('error', () => undefined).resume()
    await once(socket, 'close')
    await expect.poll(() => events.map((event) => ('code' in event ? event.code : undefined))).toContain('ERR_TCP_HANDLER')
  })

  it('sends no credential that has no form, none to an untrusted server, and none without TLS', async () => {
    const { listen } = setUp()
    await using listener = await listen()
    const proof: CredentialSource = () => ({ credential: { kind: 'dpop', carrier: 'authorization', token: secret('t'), proof: 'p' } })
    await expect(connect({ host: 'localhost', port: listener.port, tls: tls.client, source: proof })).rejects.toMatchObject({
      code: 'ERR_TCP_CREDENTIAL',
    })
    const foreign = await developmentTls()
    await expect(connect({ host: 'localhost', port: listener.port, tls: foreign.client, source: source() })).rejects.toMatchObject({
      code: 'ERR_TLS_SERVER_UNTRUSTED',
    })
  })

  it('is not opened without a guard, with misspelt options, or without saying how peers present themselves', async () => {
    const { guarded } = setUp()
    const handler = (): void => undefined
    for (const [options, code] of [
      [{ tls: tls.server, credentials: 'firstLine' }, 'ERR_GUARD_MISSING'],
      [{ tls: tls.server, guard: guarded }, 'ERR_OPTION_INVALID'],
      [{ tls: tls.server, guard: guarded, credentials: 'firstLine', idleTimeout: 5 }, 'ERR_OPTION_UNKNOWN'],
      [{ tls: tls.server, guard: guarded, credentials: 'firstLine', maxConnections: 0 }, 'ERR_OPTION_INVALID'],
      [{ tls: tls.server, guard: guarded, credentials: 'firstLine', host: '' }, 'ERR_OPTION_INVALID'],
      [{ tls: tls.server, guard: guarded, credentials: 'firstLine', port: 65_536 }, 'ERR_OPTION_INVALID'],
      [{ tls: tls.server, guard: guarded, credentials: 'firstLine', resource: '' }, 'ERR_OPTION_INVALID'],
      [{ tls: tls.server, guard: guarded, credentials: 'firstLine', maxSessionMs: 0 }, 'ERR_OPTION_INVALID'],
      [{ tls: tls.server, guard: guarded, credentials: 'firstLine', graceMs: 60_001 }, 'ERR_OPTION_INVALID'],
    ] as const) {
      await expect(serve(options as never, handler)).rejects.toMatchObject({ code })
    }
  })

  it('refuses more connections than it may hold', async () => {
    const { listen } = setUp({ maxConnections: 1 })
    await using listener = await listen()
    const first = await dial(listener.port)
    await expect(dial(listener.port)).rejects.toMatchObject({ family: 'unavailable' })
    first.destroy()
  })

  it('leaves nothing behind where it cannot listen', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as { port: number }
    const pki = await testPki()
    const { listen } = setUp()
    const clock = manualClock(Date.now())
    const own = { side: 'server', identity: { pem: pki.servers.sound.pem }, clock } as const
    await expect(listen(undefined, { port, tls: own })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    expect(clock.pending).toBe(0)
    const given = await tlsBundle(own)
    let subscribed = 0
    const subscribe = given.subscribe.bind(given)
    given.subscribe = (listener) => {
      const stop = subscribe(listener)
      subscribed++
      return () => {
        subscribed--
        stop()
      }
    }
    await expect(listen(undefined, { port, tls: given })).rejects.toMatchObject({ code: 'EADDRINUSE' })
    expect([subscribed, clock.pending]).toEqual([0, 1])
    given.close()
    taken.close()
  })

  it('leaves nothing behind where it cannot connect', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-tcp-'))
    const trust = join(folder, 'authority.pem')
    await writeFile(trust, tls.authority)
    const listener = await setUp().listen()
    const clock = manualClock(Date.now())
    const own = { side: 'client', trust: { pemFile: trust }, clock } as const
    const socket = await connect({ host: 'localhost', port: listener.port, tls: own })
    expect(clock.pending).toBe(1)
    socket.destroy()
    await listener.close()
    await expect.poll(() => clock.pending).toBe(0)
    await expect(connect({ host: 'localhost', port: listener.port, tls: own })).rejects.toMatchObject({ code: 'ERR_TLS_CONNECT' })
    expect(clock.pending).toBe(0)
    await rm(folder, { recursive: true })
  })

  it('takes nobody any more once it stops, and waits for no handshake', async () => {
    let handled = 0
    const listener = await setUp().listen(() => void handled++)
    const silent = connectPlain(listener.port, '127.0.0.1')
    const late = connectPlain(listener.port, '127.0.0.1')
    await Promise.all([once(silent, 'connect'), once(late, 'connect')])
    // The listener has both by the time that it has answered a third.
    await (await dial(listener.port)).destroy()
    const closed = listener.close()
    const secure = connectBare({ socket: late, ca: tls.authority, servername: 'localhost' }).on('error', () => undefined)
    secure.write('Bearer good\n')
    await closed
    expect(handled).toBe(0)
    await Promise.all([silent, secure].map((socket) => socket.destroyed || once(socket.resume(), 'close')))
  })
})
