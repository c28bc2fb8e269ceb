import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect } from 'node:tls'
import { guard, scope, type AuditEvent } from '@portcullis/core'
import { testPki } from '@portcullis/testkit'
import { secureClientOptions, tlsBundle, type ServerTlsBundle } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { plaintextChannel } from './danger.ts'
import { json, serve, tlsTerminatedBy, type Listener, type UpgradeRegistration } from './index.ts'
import { raw, statusOf, tokens } from './service.test-support.ts'

let tls: DevelopmentTls
let listener: Listener
let events: AuditEvent[] = []
const policy = guard({ authenticate: tokens, authorize: scope('orders:read'), audit: (event) => events.push(event) })

beforeAll(async () => {
  tls = await developmentTls()
})
beforeEach(async () => {
  events = []
  listener = await serve({ tls, guard: policy, port: 0 }, () => json({}))
})
afterEach(() => listener.close({ graceMs: 0 }))
afterAll(() => tls.close())

/** A protocol that greets and closes. */
const greeting = (rest: Partial<UpgradeRegistration> = {}): UpgradeRegistration => ({
  protocol: 'greeting',
  path: '/greet',
  upgrade: async (upgrade) => {
    const decision = await policy.decide(upgrade.describe('/greet', { room: 1 }))
    if (decision.outcome !== 'allow') return upgrade.refuse(decision)
    upgrade.socket.end(
      `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: greeting\r\n\r\nhello ${decision.principal.subject} ${upgrade.head.toString()}`,
    )
  },
  ...rest,
})
const ask = (token: string, path = '/greet', protocol = 'greeting', method = 'GET'): Promise<string> =>
  raw(
    listener.port,
    tls.client,
    `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\nbytes`,
  )

describe('an upgrade', () => {
  it('is taken over by who registered for it, with the guard’s leave', async () => {
    listener.onUpgrade(greeting())
    expect(await ask('alice')).toMatch(/^HTTP\/1\.1 101 [^]*hello alice bytes$/)
    expect(events).toMatchObject([{ outcome: 'allow', action: 'GET', resource: '/greet', protocol: 'https' }])
  })

  it.each([
    ['expired', 401],
    ['bob', 403],
    ['a b', 400],
    ['down', 503],
  ] as const)('with the token %s is refused with %i in the words of HTTP', async (token, status) => {
    listener.onUpgrade(greeting())
    const text = await ask(token)
    expect(statusOf(text)).toBe(status)
    expect(text).toContain('application/problem+json')
    if (status === 401) expect(text.toLowerCase()).toContain('www-authenticate: bearer')
  })

  it.each([
    ['another path', '/other', 'greeting', 'GET', 404],
    ['another protocol', '/greet', 'websocket', 'GET', 404],
    ['another method', '/greet', 'greeting', 'POST', 404],
    ['a path that can be read in two ways', '/a/..//greet', 'greeting', 'GET', 400],
  ] as const)('for %s is refused', async (_, path, protocol, method, status) => {
    listener.onUpgrade(greeting())
    expect(statusOf(await ask('alice', path, protocol, method))).toBe(status)
  })

  it('is nobody’s again after the registration has ended', async () => {
    const end = listener.onUpgrade(greeting())
    end()
    expect(statusOf(await ask('alice'))).toBe(404)
  })

  it('whose taker fails is closed, with an event', async () => {
    listener.onUpgrade(greeting({ upgrade: () => Promise.reject(new Error('inner')) }))
    expect(await ask('alice').catch(() => '')).toBe('')
    expect(events).toMatchObject([{ type: 'warning', code: 'ERR_HTTP_HANDLER_FAILED' }])
  })

  it('is its taker’s to watch: a connection on which nothing moves is left alone, one that nobody took is not', async () => {
    await listener.close({ graceMs: 0 })
    listener = await serve({ tls, guard: policy, port: 0, timeouts: { idleMs: 100 } }, () => json({}))
    listener.onUpgrade(greeting({ upgrade: ({ socket }) => void socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n') }))
    const socket = connect({ ...secureClientOptions(tls.client, { host: 'localhost', alpn: ['http/1.1'] }), port: listener.port })
    socket.write('GET /greet HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: greeting\r\n\r\n')
    let closed = false
    socket.resume().once('close', () => (closed = true))
    await once(socket, 'data')
    await new Promise((resolve) => setTimeout(resolve, 400))
    expect(closed).toBe(false)
    socket.destroy()
    const idle = connect({ ...secureClientOptions(tls.client, { host: 'localhost', alpn: ['http/1.1'] }), port: listener.port })
    await once(idle.resume(), 'close')
  })

  it('whose socket fails is closed: an error that nobody listens for ends no process', async () => {
    await listener.close({ graceMs: 0 })
    listener = await serve({ tls: plaintextChannel, guard: policy, port: 0 }, () => json({}))
    listener.onUpgrade(greeting({ upgrade: ({ socket }) => void socket.destroy(new Error('broken')) }))
    const socket = connectTcp(listener.port, '127.0.0.1').resume()
    socket.write('GET /greet HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: greeting\r\n\r\n')
    await once(socket, 'close')
  })

  it('over what is no secure channel is refused', async () => {
    await listener.close({ graceMs: 0 })
    listener = await serve({ tls: tlsTerminatedBy({ proxies: ['127.0.0.1'], header: 'forwarded' }), guard: policy, port: 0 }, () =>
      json({}),
    )
    listener.onUpgrade(greeting())
    const socket = connectTcp(listener.port, '127.0.0.1')
    socket.write(
      'GET /greet HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer alice\r\nConnection: Upgrade\r\nUpgrade: greeting\r\n\r\n',
    )
    const [data] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    expect(statusOf(data.toString())).toBe(403)
  })

  it('over a certificate that is trusted no more ends the connection, not the process', async () => {
    await listener.close({ graceMs: 0 })
    const folder = await mkdtemp(join(tmpdir(), 'portcullis-http-'))
    const pemFile = join(folder, 'trust.pem')
    try {
      const { servers, clients, authorities } = await testPki()
      await writeFile(pemFile, authorities.clients)
      const bundle: ServerTlsBundle = await tlsBundle({
        side: 'server',
        identity: { key: { pem: servers.sound.pem }, certificates: { pem: servers.sound.pem } },
        clientCertificates: { accept: { people: { pemFile } } },
      })
      listener = await serve({ tls: bundle, guard: policy, port: 0 }, () => json({}))
      const { pem } = clients.alice
      const socket = connect({ host: 'localhost', port: listener.port, ca: authorities.sound, key: pem, cert: pem })
      await once(socket, 'secureConnect')
      await writeFile(pemFile, authorities.renewed)
      await bundle.reload()
      socket.resume().write('GET /greet HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: greeting\r\n\r\n')
      await once(socket, 'close')
      bundle.close()
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('tells its takers when the listener stops', async () => {
    let told = false
    listener.onUpgrade(greeting({ closing: () => (told = true) }))
    await listener.close({ graceMs: 0 })
    expect(told).toBe(true)
  })

  it('cannot be registered for nothing', () => {
    expect(() => listener.onUpgrade({ protocol: 'WebSocket', path: '/x', upgrade: () => undefined })).toThrow(
      expect.objectContaining({ code: 'ERR_HTTP_ROUTE_INVALID' }),
    )
    expect(() => listener.onUpgrade({ protocol: 'x', path: 'x', upgrade: () => undefined })).toThrow(
      expect.objectContaining({ code: 'ERR_HTTP_ROUTE_INVALID' }),
    )
  })
})
