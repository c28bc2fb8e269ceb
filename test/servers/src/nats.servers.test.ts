import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect } from 'node:tls'
import { expect, test } from 'vitest'
import { type Nats, startNats } from './nats.ts'
import type { Identity } from './pki.ts'
import { startStan } from './stan.ts'

/** NATS has no client of its own here; its protocol is lines of text, so this speaks them. Returns what the server says to a CONNECT and a PING. */
async function greet(server: Pick<Nats, 'port' | 'pki'>, options: object, identity?: Identity): Promise<string> {
  const tcp = connectTcp(server.port, '127.0.0.1')
  const [info] = (await once(tcp, 'data')) as [Buffer]
  expect(info.toString()).toContain('"tls_required":true')
  const socket = connect({
    socket: tcp,
    servername: 'localhost',
    ca: server.pki.ca.certificate,
    ...(identity && { cert: identity.certificate, key: identity.key }),
  })
  let answer = ''
  socket.on('data', (chunk: Buffer) => {
    answer += chunk.toString()
  })
  socket.on('error', (error: Error) => {
    answer += error.message
  })
  socket.write(`CONNECT ${JSON.stringify({ verbose: false, protocol: 1, lang: 'test', version: '1', ...options })}\r\nPING\r\n`)
  while (!/PONG|-ERR/.test(answer) && !socket.destroyed) await Promise.race([once(socket, 'data').catch(() => {}), once(socket, 'close')])
  socket.destroy()
  // A new server sends its INFO once more, after the PONG.
  return answer.split('\r\n').find((line) => /^(PONG|-ERR)/.test(line)) ?? answer
}

test('user and password over TLS, a wrong one refused; a reload replaces the users', async () => {
  await using nats = await startNats({ jetstream: true, websocket: true })
  expect(await greet(nats, { user: 'user', pass: 'password' })).toBe('PONG')
  expect(await greet(nats, { user: 'user', pass: 'wrong' })).toBe("-ERR 'Authorization Violation'")
  await nats.reload('authorization { users = [ { user: other, password: password } ] }')
  expect(await greet(nats, { user: 'other', pass: 'password' })).toBe('PONG')
  expect(await greet(nats, { user: 'user', pass: 'password' })).toBe("-ERR 'Authorization Violation'")
  await expect(nats.reload('authorization {{{')).rejects.toThrow('did not take the configuration')
})

test('a certificate is looked up among the users (verify_and_map)', async () => {
  await using nats = await startNats({ clientCertificate: 'map', config: 'authorization { users = [ { user: "alice@avix.test" } ] }' })
  expect(await greet(nats, {}, nats.pki.issue({ name: 'alice', email: ['alice@avix.test'] }))).toBe('PONG')
  expect(await greet(nats, {}, nats.pki.issue({ name: 'mallory', email: ['mallory@avix.test'] }))).toBe("-ERR 'Authorization Violation'")
})

test('new enough for an auth callout and for TLS before the greeting', async () => {
  const account = 'ABJHLOVMPA4CI6R5KLNGOB4GSLNIY7IOUPAJC4YFNDLQVIOBYQGUWVLA'
  const config = `accounts { AUTH: { users: [ { user: auth, password: auth } ] }, APP: {} }
authorization { timeout: 2, auth_callout { issuer: ${account}, auth_users: [ auth ], account: AUTH } }`
  await using nats = await startNats({ config })
  expect(await greet(nats, { user: 'auth', pass: 'auth' })).toBe('PONG')
  // Nobody answers the callout, so nobody else comes in.
  expect(await greet(nats, { user: 'somebody', pass: 'x' })).toMatch(/^-ERR/)
  await using first = await startNats({ handshakeFirst: true })
  const socket = connect({ port: first.port, host: '127.0.0.1', servername: 'localhost', ca: first.pki.ca.certificate })
  const [info] = (await once(socket, 'data')) as [Buffer]
  expect(info.toString()).toContain('"version":"2.')
  socket.destroy()
})

test('NATS Streaming starts, with TLS and its user', async () => {
  await using stan = await startStan()
  expect(await greet(stan, { user: 'user', pass: 'password' })).toBe('PONG')
  expect(await greet(stan, { user: 'user', pass: 'wrong' })).toBe("-ERR 'Authorization Violation'")
  expect(stan.log()).toContain(`nats-streaming-server[${stan.clusterId}]`)
})
