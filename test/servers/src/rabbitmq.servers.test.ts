import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Ran, runForeign } from './foreign.ts'
import { type Issuer, createIssuer } from './issuer.ts'
import { type Pki, createPki } from './pki.ts'
import { type Rabbitmq, startRabbitmq } from './rabbitmq.ts'

let rabbitmq: Rabbitmq
let issuer: Issuer
let pki: Pki
const asked: string[] = []

// One broker for all cases: it is the slowest to start. Its backends are asked in turn: its own users, tokens, and this server.
const backend = createServer()
backend.on('request', (request, response) => {
  let body = ''
  request.on('data', (chunk: Buffer) => {
    body += chunk.toString()
  })
  request.once('end', () => {
    asked.push(`${request.url} ${body}`)
    const about = new URLSearchParams(body)
    const known = about.get('username') === 'harriet' && (request.url !== '/user' || about.get('password') === 'harriet-secret')
    const forbidden = about.get('name')?.startsWith('closed') === true
    response.end(known && !forbidden ? 'allow' : 'deny')
  })
})

beforeAll(async () => {
  pki = createPki()
  issuer = createIssuer()
  backend.setSecureContext({ cert: pki.server.certificate, key: pki.server.key })
  backend.listen(0, '127.0.0.1')
  await once(backend, 'listening')
  const url = (what: string): string => `https://localhost:${(backend.address() as AddressInfo).port}/${what}`
  rabbitmq = await startRabbitmq({
    pki,
    oauth2: { resourceServerId: 'rabbitmq', signingKeys: { [issuer.kid]: issuer.publicKey } },
    http: { user: url('user'), vhost: url('vhost'), resource: url('resource'), topic: url('topic') },
  })
}, 120_000)
afterAll(async () => {
  backend.close()
  await rabbitmq[Symbol.asyncDispose]()
}, 30_000)

const amqp = (
  part: 'amqp-declare-queue' | 'amqp-publish' | 'amqp-get',
  username: string,
  password: string,
  args: string[],
  vhost = '/',
): Promise<Ran> => {
  // By URL: the tool's separate options do not reach a TLS listener (0.11).
  const url = `amqps://${username}:${password}@localhost:${rabbitmq.port}/${encodeURIComponent(vhost)}`
  return runForeign('amqp-tools', part, ['--url', url, '--cacert', pki.ca.certificateFile, ...args])
}

test('PLAIN over TLS: a message there and back, a wrong password refused, another virtual host too', async () => {
  const vhost = await rabbitmq.namespace('app')
  expect((await amqp('amqp-declare-queue', 'app', 'app-secret', ['-q', 'q'], vhost)).status).toBe(0)
  expect((await amqp('amqp-publish', 'app', 'app-secret', ['-r', 'q', '-b', 'hello'], vhost)).status).toBe(0)
  expect((await amqp('amqp-get', 'app', 'app-secret', ['-q', 'q'], vhost)).output).toBe('hello')
  expect((await amqp('amqp-declare-queue', 'app', 'wrong', ['-q', 'q'], vhost)).said).toContain('403')
  await rabbitmq.manage('PUT', '/api/vhosts/elsewhere')
  expect((await amqp('amqp-declare-queue', 'app', 'app-secret', ['-q', 'q'], 'elsewhere')).status).not.toBe(0)
})

test('EXTERNAL: the certificate is the user, an unknown one is refused', async () => {
  const script = `
import pika, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1]); context.load_cert_chain(sys.argv[2], sys.argv[3])
where = pika.ConnectionParameters('localhost', int(sys.argv[4]), '/', pika.credentials.ExternalCredentials(), ssl_options=pika.SSLOptions(context, 'localhost'))
channel = pika.BlockingConnection(where).channel()
channel.queue_declare(sys.argv[5], exclusive=True); channel.basic_publish('', sys.argv[5], b'x'); print(channel.basic_get(sys.argv[5], auto_ack=True)[2].decode())`
  const external = (name: string, queue: string): Promise<Ran> => {
    const who = pki.issue({ name })
    return runForeign('python3-pika', 'python', [
      '-c',
      script,
      pki.ca.certificateFile,
      who.certificateFile,
      who.keyFile,
      String(rabbitmq.port),
      queue,
    ])
  }
  expect((await external('alice', 'alice.q')).output.trim()).toBe('x')
  expect((await external('alice', 'other.q')).said).toContain('ACCESS_REFUSED')
  expect((await external('mallory', 'alice.q')).status).not.toBe(0)
})

test('a token as password: its scopes count; expired, for somebody else or signed by somebody else it is refused', async () => {
  const scope = 'rabbitmq.configure:%2F/t.* rabbitmq.write:%2F/t.* rabbitmq.read:%2F/t.*'
  const declare = (token: string, queue = 't.q'): Promise<Ran> => amqp('amqp-declare-queue', 'service', token, ['-q', queue])
  const claims = { sub: 'service', aud: 'rabbitmq', scope }
  expect((await declare(issuer.token(claims))).status).toBe(0)
  expect((await declare(issuer.token(claims), 'other')).said).toContain('403')
  expect((await declare(issuer.token({ ...claims, exp: 1 }))).status).not.toBe(0)
  expect((await declare(issuer.token({ ...claims, aud: 'other' }))).status).not.toBe(0)
  expect((await declare(createIssuer().token(claims))).status).not.toBe(0)
})

test('the HTTP backend is asked, and its answer counts', async () => {
  expect((await amqp('amqp-declare-queue', 'harriet', 'harriet-secret', ['-q', 'open'])).status).toBe(0)
  expect((await amqp('amqp-declare-queue', 'harriet', 'harriet-secret', ['-q', 'closed'])).said).toContain('403')
  expect((await amqp('amqp-declare-queue', 'harriet', 'wrong', ['-q', 'open'])).status).not.toBe(0)
  expect(asked.map((line) => line.split(' ')[0])).toEqual(expect.arrayContaining(['/user', '/vhost', '/resource']))
})

test('after a restart it is the same broker', async () => {
  await rabbitmq.manage('PUT', '/api/vhosts/kept')
  await rabbitmq.restart()
  await expect(rabbitmq.manage('GET', '/api/vhosts/kept')).resolves.toMatchObject({ name: 'kept' })
}, 60_000)
