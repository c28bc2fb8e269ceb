import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { setTimeout as wait } from 'node:timers/promises'
import { anyOf, guard, secret, systemClock, type AuditEvent, type CredentialSource } from '@portcullis/core'
import { denyList, jwt } from '@portcullis/jwt'
import { createIssuer, createPki, runForeign, startRabbitmq, type Pki, type Rabbitmq } from '@portcullis/test-servers'
import { clientCertificate, tlsBundle, type ServerTlsBundle } from '@portcullis/tls'
import type { Channel } from 'amqplib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { client, type ClientOptions } from '../index.ts'
import { Words } from './authority.test-support.ts'
import { authority, type AuthorityOptions, type RabbitmqAuthority } from './index.ts'

const sts = createIssuer()
const denied = denyList()
const events: AuditEvent[] = []
const rights = [
  'rabbitmq.configure:%2F/own.*',
  'rabbitmq.write:%2F/own.*',
  'rabbitmq.write:%2F/amq.default',
  'rabbitmq.read:%2F/own.*',
  'rabbitmq.write:%2F/amq.topic/eu.*',
]
const words = new Words(systemClock, rights)
const guarded = guard({
  authenticate: anyOf(
    words.mechanism,
    jwt({ issuer: sts.issuer, audience: 'rabbitmq', keys: { publicKey: { pem: sts.publicKey }, keyId: sts.kid }, revocations: denied }),
  ),
  audit: (event) => events.push(event),
})
const judging = {
  guard: guarded,
  credential: ({ password }) => (password.reveal().split('.').length === 3 ? 'bearer' : 'basic'),
  tagsOf: ({ subject }) => (subject === 'operator' ? ['management'] : []),
} satisfies Partial<AuthorityOptions>
const urls = (base: string) => ({ user: `${base}/user`, vhost: `${base}/vhost`, resource: `${base}/resource`, topic: `${base}/topic` })

let pki: Pki
let tls: ServerTlsBundle
let over: RabbitmqAuthority
let broker: Rabbitmq
const listen = (port: number) =>
  authority({
    ...judging,
    port,
    broker: {
      tls,
      host: 'localhost',
      guard: guard({ authenticate: clientCertificate({ tls, issuers: { brokers: { by: 'dns', principals: { localhost: [] } } } }) }),
    },
  })

beforeAll(async () => {
  pki = createPki()
  tls = await tlsBundle({
    side: 'server',
    identity: { key: { pem: pki.server.key }, certificates: { pem: pki.server.certificate } },
    clientCertificates: { require: { brokers: { pem: pki.ca.certificate } } },
  })
  over = await listen(0)
  broker = await startRabbitmq({ pki, virtualHosts: ['shop'], http: urls(`https://localhost:${over.port}`) })
}, 120_000)
afterAll(async () => {
  await broker?.stop()
  await over?.close()
  tls?.close()
})

const token = (username: string, seconds = 300, scope = rights.join(' ')) =>
  sts.token({ sub: username, aud: 'rabbitmq', scope, exp: Math.floor(Date.now() / 1_000) + seconds })
const password = (username: string, word = 'open-sesame'): Partial<ClientOptions> => ({
  credentials: () => ({ credential: { kind: 'basic', carrier: 'sasl', username, password: secret(word) } }),
})
const bearer = (username: string, made = token(username)): Partial<ClientOptions> => ({
  username,
  credentials: () => ({ credential: { kind: 'bearer', carrier: 'sasl', token: secret(made) } }),
})
const trust = { side: 'client' as const, trust: { pem: '' } }

async function opened(options: Partial<ClientOptions>, at: Rabbitmq = broker) {
  const made = await client({
    url: `amqps://localhost:${at.port}`,
    tls: { ...trust, trust: { pem: at.pki.ca.certificate } },
    credentials: 'certificate',
    ...options,
  })
  const model = await made.open()
  return Object.assign(model, {
    /** What a step on a channel of its own comes to: `ok`, or the code that the broker closes the channel with. */
    attempt: async (step: (channel: Channel) => Promise<unknown>): Promise<unknown> => {
      const channel = await model.createChannel()
      channel.on('error', () => undefined)
      return step(channel).then(
        () => 'ok',
        (error: { code: unknown }) => error.code,
      )
    },
  })
}
const codeOf = (options: Partial<ClientOptions>): Promise<unknown> =>
  opened(options).then(
    (model) => model.close().then(() => 'ok'),
    (error: { code: unknown }) => error.code,
  )
const declare = (queue: string) => (channel: Channel) => channel.assertQueue(queue, { exclusive: true })
/** Publishes and asks something that the broker answers after it, so that a refusal is seen. */
const publish = (exchange: string, routingKey: string) => async (channel: Channel) => {
  const closed = new Promise((_resolve, reject) => channel.once('error', reject))
  channel.publish(exchange, routingKey, Buffer.from('x'))
  await Promise.race([closed, channel.prefetch(1)])
}

describe('a broker whose authority is a guard', () => {
  it('lets in by password and by token, for what the scopes permit and nothing else', async () => {
    for (const as of [password('alice'), bearer('service')]) {
      const connection = await opened(as)
      expect(await connection.attempt(declare('own.q'))).toBe('ok')
      expect(await connection.attempt(declare('other.q'))).toBe(403)
      expect(await connection.attempt(publish('', 'own.q'))).toBe('ok')
      expect(await connection.attempt(publish('amq.fanout', ''))).toBe(403)
      await connection.close()
    }
  })

  it('permits topics by routing key', async () => {
    const connection = await opened(password('alice'))
    expect(await connection.attempt(publish('amq.topic', 'eu.berlin'))).toBe('ok')
    expect(await connection.attempt(publish('amq.topic', 'us.boston'))).toBe(403)
    await connection.close()
  })

  it('lets in nobody else', async () => {
    const [refused, elsewhere] = ['ERR_RABBITMQ_CREDENTIAL_REFUSED', 'ERR_RABBITMQ_VIRTUAL_HOST']
    expect(await codeOf(password('alice', 'guess'))).toBe(refused)
    expect(await codeOf(password('outage'))).toBe(refused)
    expect(await codeOf(bearer('service', token('service', -120)))).toBe(refused)
    expect(await codeOf(bearer('service', createIssuer().token({ sub: 'service', aud: 'rabbitmq' })))).toBe(refused)
    // Somebody else's name, and none.
    expect(await codeOf(bearer('alice', token('mallory')))).toBe(refused)
    const { credentials } = bearer('service')
    expect(await codeOf({ ...(credentials && { credentials }) })).toBe(refused)
    expect(await codeOf({ ...password('alice'), virtualHost: 'shop' })).toBe(elsewhere)
    expect(JSON.stringify(events)).not.toContain('open-sesame')
  })

  it('denies logins by certificate, of which it says the name only', async () => {
    const mallory = pki.issue({ name: 'mallory' })
    const identity = { key: { pem: mallory.key }, certificates: { pem: mallory.certificate } }
    expect(await codeOf({ credentials: 'certificate', tls: { ...trust, trust: { pem: pki.ca.certificate }, identity } })).toBe(
      'ERR_RABBITMQ_CREDENTIAL_REFUSED',
    )
  })

  it('asks in vain once the principal has expired, and again with one that is renewed by logging in', async () => {
    const short = await opened(bearer('brief', token('brief', 3)))
    expect(await short.attempt(declare('own.brief'))).toBe('ok')
    await wait(4_000)
    expect(await short.attempt(declare('own.brief2'))).toBe(403)
    await short.close()

    const renewed: CredentialSource = () => {
      const made = token('lasting', 4)
      const [, claims = ''] = made.split('.')
      const { exp } = JSON.parse(Buffer.from(claims, 'base64url').toString()) as { exp: number }
      return { credential: { kind: 'bearer', carrier: 'sasl', token: secret(made) }, expiresAt: new Date(exp * 1_000) }
    }
    const lasting = await opened({ username: 'lasting', credentials: renewed, renewal: 'login' })
    const until = Date.now() + 9_000
    for (let at = 0; Date.now() < until; at++) {
      expect(await lasting.attempt(declare(`own.lasting${at}`))).toBe('ok')
      await wait(300)
    }
    await lasting.close()
  }, 30_000)

  it('asks in vain once the principal was revoked; what a channel was permitted before it keeps', async () => {
    const connection = await opened(bearer('leaver'))
    const channel = await connection.createChannel()
    channel.on('error', () => undefined)
    await publish('', 'own.q')(channel)
    // Tokens of later seconds, too, so that the one below is among them whenever it is issued.
    const until = new Date(Date.now() + 600_000)
    denied.deny({ issuer: sts.issuer, subject: 'leaver', issuedBefore: until, until })
    await publish('', 'own.q')(channel)
    expect(await connection.attempt(publish('', 'own.q'))).toBe(403)
    expect(await codeOf(bearer('leaver'))).toBe('ERR_RABBITMQ_CREDENTIAL_REFUSED')
    await broker.manage('DELETE', '/api/connections/username/leaver')
    await expect.poll(() => publish('', 'own.q')(channel).catch(() => 'closed'), { timeout: 10_000 }).toBe('closed')
  })

  it('refuses while its authority is down or has forgotten, and works again after a login', async () => {
    const connection = await opened(password('alice'))
    await over.close()
    expect(await connection.attempt(declare('own.down'))).toBe(403)
    expect(await codeOf(password('alice'))).toBe('ERR_RABBITMQ_CREDENTIAL_REFUSED')
    over = await listen(over.port)
    expect(await connection.attempt(declare('own.forgotten'))).toBe(403)
    expect(await codeOf(password('alice'))).toBe('ok')
    expect(await connection.attempt(declare('own.back'))).toBe('ok')
    await connection.close()
  })

  it('serves foreign clients, and keeps its own users', async () => {
    const amqp = (user: string, word: string, queue: string) =>
      runForeign('amqp-tools', 'amqp-declare-queue', [
        '--url',
        `amqps://${user}:${word}@localhost:${broker.port}/%2F`,
        '--cacert',
        pki.ca.certificateFile,
        '-q',
        queue,
      ])
    expect((await amqp('alice', 'open-sesame', 'own.foreign')).status).toBe(0)
    expect((await amqp('alice', 'open-sesame', 'other')).said).toContain('403')
    expect((await amqp('alice', 'guess', 'own.foreign')).status).not.toBe(0)
    expect((await amqp('app', 'app-secret', 'other')).status).toBe(0)
    const script = `
import pika, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
where = pika.ConnectionParameters('localhost', int(sys.argv[2]), '/', pika.PlainCredentials('service', sys.argv[3]), ssl_options=pika.SSLOptions(context, 'localhost'))
channel = pika.BlockingConnection(where).channel()
channel.queue_declare('own.pika', exclusive=True); channel.basic_publish('', 'own.pika', b'x'); print(channel.basic_get('own.pika', auto_ack=True)[2].decode())`
    const python = (made: string) => runForeign('python3-pika', 'python', ['-c', script, pki.ca.certificateFile, String(broker.port), made])
    expect((await python(token('service'))).output.trim()).toBe('x')
    expect((await python(token('mallory'))).said).toContain('ACCESS_REFUSED')
  })

  it('opens its management interface to whoever has the tag, for the virtual hosts that may be entered', async () => {
    const visible = async (username: string): Promise<unknown> => {
      const options = { auth: `${username}:open-sesame`, ca: pki.ca.certificate, agent: false }
      const [response] = (await once(request(new URL('/api/vhosts', broker.managementUrl), options).end(), 'response')) as [IncomingMessage]
      let text = ''
      for await (const chunk of response) text += String(chunk)
      return response.statusCode === 200 ? (JSON.parse(text) as { name: string }[]).map(({ name }) => name) : response.statusCode
    }
    expect(await visible('operator')).toEqual(['/'])
    expect(await visible('alice')).toBe(401)
  })

  it('tells who it is by a secret on loopback', { timeout: 60_000 }, async () => {
    const proof = 'a-secret-of-at-least-thirty-two-characters'
    await using local = await authority({ ...judging, port: 0, broker: { secret: proof } })
    await using second = await startRabbitmq({ pki, http: urls(`http://127.0.0.1:${local.port}/${proof}`) })
    const connection = await opened(password('alice'), second)
    expect(await connection.attempt(declare('own.q'))).toBe('ok')
    expect(await connection.attempt(declare('other.q'))).toBe(403)
    await connection.close()
  })
})
