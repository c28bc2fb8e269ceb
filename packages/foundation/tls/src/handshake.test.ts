import { once } from 'node:events'
import http2 from 'node:http2'
import https from 'node:https'
import net from 'node:net'
import tls from 'node:tls'

import { describe, expect, it, onTestFinished } from 'vitest'

import { attempt, Authority, clientBundle, listen, serve, serverBundle, until } from './authorities.test-support.ts'
import { connectTls, secureClientOptions } from './client.ts'
import { peerCertificateOf } from './peer.ts'
import { attach, secureServerOptions } from './server.ts'

const servers = await Authority.root('Servers')
const clients = await Authority.root('Clients')

/** Connects without TLS. */
function speechless(port: number): net.Socket {
  return net
    .connect(port, '127.0.0.1')
    .on('error', () => undefined)
    .resume()
}

const closed = (socket: net.Socket) => new Promise((resolve) => socket.once('close', resolve))

describe('a server', () => {
  it('ends a handshake that takes too long, and tells what failed', async () => {
    const bundle = await serverBundle({ identity: await servers.server(), handshakeTimeoutMs: 50 })
    const { port, refusals, events } = await serve(bundle)
    await closed(speechless(port))
    const talking = speechless(port)
    talking.write('GET / HTTP/1.1\r\n\r\n')
    await closed(talking)
    // The head of a ClientHello that never ends, a byte at a time.
    const dripping = speechless(port)
    const head = [0x16, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]
    const drip = setInterval(() => dripping.write(Buffer.of(head.shift() ?? 0)), 10)
    await closed(dripping)
    clearInterval(drip)
    await until(() => refusals.length === 3)
    expect(refusals).toEqual(['ERR_TLS_HANDSHAKE_TIMEOUT', 'ERR_TLS_HANDSHAKE', 'ERR_TLS_HANDSHAKE_TIMEOUT'])
    expect(events[0]).toMatchObject({ remoteAddress: '127.0.0.1' })
  })

  it('refuses a missing certificate by itself, where the runtime was told not to', async () => {
    const bundle = await serverBundle({ identity: await servers.server(), clientCertificates: { require: { clients: clients.trust } } })
    const codes: string[] = []
    bundle.subscribe((event) => event.type === 'handshakeRefused' && codes.push(event.code))
    const server = tls.createServer({ ...secureServerOptions(bundle), rejectUnauthorized: false })
    attach(server, bundle)
    const port = await listen(server)
    for (const identity of [undefined, await (await Authority.root('Clients')).client()]) {
      expect((await attempt(port, await clientBundle({ trust: servers.trust, ...(identity && { identity }) }))).outcome).not.toBe('hello')
    }
    expect(codes).toEqual(['ERR_TLS_PEER_MISSING', 'ERR_TLS_PEER_UNTRUSTED'])
  })

  it.each(['https', 'http2'] as const)('of %s answers nobody whose optional certificate does not hold', async (protocol) => {
    const bundle = await serverBundle({ identity: await servers.server(), clientCertificates: { accept: { clients: clients.trust } } })
    const codes: string[] = []
    bundle.subscribe((event) => event.type === 'handshakeRefused' && codes.push(event.code))
    let answered = 0
    const answer = (_request: unknown, response: { end(text: string): unknown }): void => {
      answered += 1
      response.end('hello')
    }
    const server =
      protocol === 'https'
        ? https.createServer(secureServerOptions(bundle), answer)
        : http2.createSecureServer(secureServerOptions(bundle, { alpn: ['h2'] }), answer)
    attach(server, bundle)
    const port = await listen(server)
    const request =
      protocol === 'https'
        ? 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'
        : Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0')
    const call = async (authority: Authority) => {
      const client = await clientBundle({ trust: servers.trust, identity: await authority.client() })
      const alpn: [string] = [protocol === 'https' ? 'http/1.1' : 'h2']
      const socket = tls.connect({ port, ...secureClientOptions(client, { host: 'localhost', alpn }) })
      socket.write(request)
      return new Promise<string>((resolve) =>
        socket
          .once('data', () => resolve('data'))
          .on('error', () => undefined)
          .once('close', () => resolve('closed')),
      ).finally(() => socket.destroy())
    }
    expect(await call(clients)).toBe('data')
    const before = answered
    expect(await call(await Authority.root('Clients'))).toBe('closed')
    expect([answered, codes]).toEqual([before, ['ERR_TLS_PEER_UNTRUSTED']])
  })

  it('is let go of', async () => {
    const bundle = await serverBundle({ identity: await servers.server() })
    const server = tls.createServer(secureServerOptions(bundle))
    const detach = attach(server, bundle)
    const events = ['secureConnection', 'tlsClientError']
    expect(events.map((event) => server.listenerCount(event))).toEqual([1, 1])
    detach()
    expect(events.map((event) => server.listenerCount(event))).toEqual([0, 0])
  })

  it('agrees on a hybrid key exchange that withstands a quantum computer', async () => {
    const groups = ['X25519MLKEM768'] as const
    const { port } = await serve(await serverBundle({ identity: await servers.server(), groups }))
    expect(await attempt(port, await clientBundle({ trust: servers.trust, groups }))).toMatchObject({ outcome: 'hello' })
    expect(await attempt(port, await clientBundle({ trust: servers.trust }))).toMatchObject({ outcome: 'hello' })
    expect(await attempt(port, await clientBundle({ trust: servers.trust, groups: ['P-256'] }))).toMatchObject({
      outcome: expect.stringMatching(/HANDSHAKE_FAILURE/),
    })
  })
})

describe('a client', () => {
  const address = (port: number) => ({ host: '127.0.0.1', serverName: 'localhost', port })

  it('trusts the public authorities only, if nothing else is said', async () => {
    const { port } = await serve(await serverBundle({ identity: await servers.server() }))
    await expect(connectTls(await clientBundle({}), address(port))).rejects.toMatchObject({
      code: 'ERR_TLS_SERVER_UNTRUSTED',
      family: 'authentication',
    })
  })

  it('waits no longer than it was told, and gives up when it is told', async () => {
    const port = await listen(net.createServer((socket) => socket.on('error', () => undefined)))
    const bundle = await clientBundle({ trust: servers.trust, handshakeTimeoutMs: 50 })
    await expect(connectTls(bundle, address(port))).rejects.toMatchObject({ code: 'ERR_TLS_HANDSHAKE_TIMEOUT', family: 'unavailable' })
    const patient = await clientBundle({ trust: servers.trust })
    const stop = new AbortController()
    const waiting = connectTls(patient, { ...address(port), signal: stop.signal })
    stop.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_ABORTED' })
    await expect(connectTls(patient, { ...address(port), signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ERR_ABORTED' })
  })

  it('tells an outage from a refusal', async () => {
    const gone = net.createServer()
    const port = await listen(gone)
    gone.close()
    await expect(connectTls(await clientBundle({ trust: servers.trust }), address(port))).rejects.toMatchObject({
      code: 'ERR_TLS_CONNECT',
      family: 'unavailable',
    })
  })

  it('takes up its session with a server, each ticket once', async () => {
    const seen = await serve(await serverBundle({ identity: await servers.server() }))
    const bundle = await clientBundle({ trust: servers.trust })
    const connect = async () => {
      const socket = await connectTls(bundle, address(seen.port))
      onTestFinished(() => void socket.destroy())
      await once(socket, 'data')
      await new Promise((resolve) => setImmediate(resolve))
      return socket.isSessionReused()
    }
    // A server hands out two tickets after a whole handshake, and none after a resumed one.
    const reused = []
    for (let connections = 0; connections < 5; connections++) reused.push(await connect())
    expect(reused).toEqual([false, true, true, false, true])
    const without = await clientBundle({ trust: servers.trust, resumption: 'off' })
    for (const socket of [await connectTls(without, address(seen.port)), await connectTls(without, address(seen.port))]) {
      expect(socket.isSessionReused()).toBe(false)
      socket.destroy()
    }
  })

  it('does not speak to a host without a name', async () => {
    const bundle = await clientBundle({ trust: servers.trust })
    for (const wrong of [{ host: '' }, { host: 'localhost', serverName: '' }])
      expect(() => secureClientOptions(bundle, wrong)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    await expect(connectTls(bundle, { host: 'localhost', port: 0 })).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
  })

  it('is not taken for a server, nor the reverse', async () => {
    const bundle = await clientBundle({ trust: servers.trust })
    const server = await serverBundle({ identity: await servers.server() })
    const wrong = [
      () => secureServerOptions(bundle as never),
      () => attach(tls.createServer(), bundle as never),
      () => secureClientOptions(server as never, { host: 'localhost' }),
    ]
    for (const call of wrong) expect(call).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    expect(() => peerCertificateOf(new net.Socket() as never, server)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })
})
