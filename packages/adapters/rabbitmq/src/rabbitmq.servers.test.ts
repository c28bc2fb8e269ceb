import { generateKeyPairSync } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { basicCredentials } from '@portcullis/auth'
import { secret, UnavailableError, type AuditEvent, type CredentialSource } from '@portcullis/core'
import { messageSigner, signedMessages } from '@portcullis/message'
import { createIssuer, runForeign, startRabbitmq, type Rabbitmq } from '@portcullis/test-servers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { client, consumer, guard, producer, scope, type ClientOptions, type RabbitmqClient, type RabbitmqMessage } from './index.ts'
import { signedForm } from './message.ts'

const issuer = await createIssuer()
const signing = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const mallory = generateKeyPairSync('ec', { namedCurve: 'P-256' })
let broker: Rabbitmq
let origin = ''
const clients: RabbitmqClient[] = []

beforeAll(async () => {
  broker = await startRabbitmq({ oauth2: { resourceServerId: 'rabbitmq', signingKeys: { [issuer.kid]: issuer.publicKey } } })
  origin = `amqps://localhost:${broker.port}`
}, 60_000)
afterAll(async () => {
  for (const one of clients) one.close()
  await broker?.stop()
})

const trust = () => ({ side: 'client' as const, trust: { pem: broker.pki.ca.certificate } })
const app = (password = 'app-secret'): CredentialSource => basicCredentials({ username: 'app', password, targets: [origin] })
async function open(options: Partial<ClientOptions> = {}): Promise<RabbitmqClient> {
  const made = await client({ url: origin, tls: trust(), credentials: app(), ...options })
  clients.push(made)
  return made
}
async function queues(...names: string[]): Promise<string[]> {
  const made = names.map((name) => `${name}-${Math.random().toString(36).slice(2)}`)
  for (const name of made) await broker.manage('PUT', `/api/queues/%2F/${name}`, { durable: true })
  return made
}
const sign = (key = signing.privateKey) =>
  messageSigner({ issuer: 'urn:shop', key: { privateKey: key }, audience: 'warehouse', targets: [origin] })
const warehouse = (audit?: (event: AuditEvent) => void) =>
  guard({
    authenticate: signedMessages({
      audience: 'warehouse',
      signers: [{ issuer: 'urn:shop', keys: { publicKey: signing.publicKey }, scopes: ['orders:publish'] }],
      maxAgeMs: 60_000,
    }),
    authorize: scope('orders:publish'),
    ...(audit && { audit }),
  })
/** Takes what is in a queue, with the library itself. */
async function drain(queue: string, count: number): Promise<{ readonly text: string; readonly headers: Record<string, unknown> }[]> {
  const model = await (await open()).open()
  const channel = await model.createChannel()
  const taken: { text: string; headers: Record<string, unknown> }[] = []
  for (let attempt = 0; attempt < 100 && taken.length < count; attempt++) {
    const message = await channel.get(queue, { noAck: true })
    if (message === false) await wait(50)
    else taken.push({ text: message.content.toString(), headers: message.properties.headers ?? {} })
  }
  await model.close()
  return taken
}

describe('a client', () => {
  it('is let in by name and password, by certificate, and by an access token', async () => {
    const withPassword = await (await open()).open()
    const alice = broker.pki.issue({ name: 'alice' })
    const identity = { key: { pem: alice.key }, certificates: { pem: alice.certificate } }
    const withCertificate = await (await open({ tls: { ...trust(), identity }, credentials: 'certificate' })).open()
    const token = issuer.token({
      aud: 'rabbitmq',
      scope: 'rabbitmq.read:*/* rabbitmq.write:*/* rabbitmq.configure:*/*',
      exp: Math.floor(Date.now() / 1_000) + 60,
    })
    const withToken = await (
      await open({ credentials: () => ({ credential: { kind: 'bearer', carrier: 'sasl', token: secret(token) } }) })
    ).open()
    for (const model of [withPassword, withCertificate, withToken]) await model.close()
  })

  it('tells each refusal by its own code, and sends no password twice', async () => {
    const codeOf = async (options: Partial<ClientOptions>): Promise<unknown> =>
      (await open(options)).open().then(
        (model) => model.close(),
        (error: { code: unknown }) => error.code,
      )
    expect(await codeOf({ credentials: app('wrong') })).toBe('ERR_RABBITMQ_CREDENTIAL_REFUSED')
    expect(await codeOf({ virtualHost: 'nowhere' })).toBe('ERR_RABBITMQ_VIRTUAL_HOST')
    expect(await codeOf({ credentials: 'certificate' })).toBe('ERR_RABBITMQ_CREDENTIAL_REFUSED')
    expect(await codeOf({ serverName: 'elsewhere.example' })).toBe('ERR_RABBITMQ_HOST_NAME')
    expect(await codeOf({ tls: { side: 'client' } })).toBe('ERR_RABBITMQ_BROKER_UNTRUSTED')
    expect(
      await codeOf({
        url: 'amqps://localhost:1',
        credentials: () => ({ credential: { kind: 'basic', carrier: 'sasl', username: 'a', password: secret('b') } }),
      }),
    ).toBe('ERR_RABBITMQ_UNAVAILABLE')
    expect(await codeOf({ credentials: () => ({ credential: { kind: 'dpop', carrier: 'a', token: secret('b'), proof: 'c' } }) })).toBe(
      'ERR_RABBITMQ_CREDENTIAL',
    )
    const expired = issuer.token({ aud: 'rabbitmq', exp: Math.floor(Date.now() / 1_000) - 10 })
    const foreign = issuer.token({ aud: 'elsewhere', exp: Math.floor(Date.now() / 1_000) + 60 })
    for (const token of [expired, foreign, 'junk'])
      expect(await codeOf({ credentials: () => ({ credential: { kind: 'bearer', carrier: 'sasl', token: secret(token) } }) })).toBe(
        'ERR_RABBITMQ_CREDENTIAL_REFUSED',
      )
    let asked = 0
    const counting: CredentialSource = () => {
      asked++
      return { credential: { kind: 'basic', carrier: 'sasl', username: 'app', password: secret('wrong') } }
    }
    expect(await codeOf({ credentials: counting })).toBe('ERR_RABBITMQ_CREDENTIAL_REFUSED')
    expect(asked).toBe(2)
  })

  it.each(['amqp://localhost:5672', 'amqps://user:pw@localhost', 'amqps://localhost/vhost', 'https://localhost', 'localhost', ''])(
    'is not made for %s',
    async (url) => {
      await expect(open({ url })).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
    },
  )
})

describe('options of a client', () => {
  it.each([{ renewal: 'never' }, { renewal: '' }, { username: '' }, { user: 'app' }])('%o are refused', async (wrong) => {
    await expect(open(wrong as never)).rejects.toMatchObject({ family: 'configuration' })
  })
})

describe('messages', () => {
  it('reach the handler with their producer; those of others reach the dead letters, with their bytes and the reason', async () => {
    const [queue = '', dead = ''] = await queues('orders', 'dead')
    const heard: [string, string][] = []
    await using listening = await consumer(
      { client: await open(), queue, guard: warehouse(), deadLetter: dead },
      (message, principal) => void heard.push([message.content.toString(), principal.subject]),
    )
    await using shop = await producer({ client: await open(), identity: sign() })
    await using forger = await producer({ client: await open(), identity: sign(mallory.privateKey) })
    await shop.send({ routingKey: queue, content: 'one', headers: { tenant: 'acme' }, properties: { contentType: 'text/plain' } })
    await forger.send({ routingKey: queue, content: 'forged' })
    await broker.manage('POST', '/api/exchanges/%2F/amq.default/publish', {
      routing_key: queue,
      payload: 'unsigned',
      payload_encoding: 'string',
      properties: { headers: { 'portcullis-dead-letter-code': 'lie' } },
    })
    await expect.poll(() => heard).toEqual([['one', 'urn:shop']])
    const letters = await drain(dead, 2)
    expect(
      letters
        .map(({ text, headers }) => [
          text,
          headers['portcullis-dead-letter-code'],
          headers['portcullis-dead-letter-reason'],
          headers['portcullis-dead-letter-queue'],
        ])
        .toSorted((a, b) => String(a[0]).localeCompare(String(b[0]))),
    ).toEqual([
      ['forged', 'ERR_JWT_SIGNATURE_INVALID', 'identity-refused', queue],
      ['unsigned', 'ERR_CREDENTIAL_MISSING', 'no-identity', queue],
    ])
    expect(await drain(queue, 0)).toEqual([])
    void listening
  })

  it('are refused when they were moved to another queue, or their signed properties were changed', async () => {
    const [queue = '', other = '', dead = ''] = await queues('orders', 'refunds', 'dead')
    await using shop = await producer({ client: await open(), identity: sign() })
    await shop.send({ routingKey: other, content: 'moved' })
    const [stolen] = await drain(other, 1)
    await broker.manage('POST', '/api/exchanges/%2F/amq.default/publish', {
      routing_key: queue,
      payload: 'moved',
      payload_encoding: 'string',
      properties: { headers: stolen?.headers },
    })
    const heard: RabbitmqMessage[] = []
    await using listening = await consumer(
      { client: await open(), queue, guard: warehouse(), deadLetter: dead },
      (message) => void heard.push(message),
    )
    expect((await drain(dead, 1)).map(({ headers }) => headers['portcullis-dead-letter-code'])).toEqual(['ERR_MESSAGE_ADDRESS'])
    expect(heard).toEqual([])
    void listening
  })

  it('wait while nobody can judge them, and are neither handled nor dead-lettered meanwhile', async () => {
    const [queue = '', dead = ''] = await queues('orders', 'dead')
    const patient = guard({
      authenticate: signedMessages({
        audience: 'warehouse',
        maxAgeMs: 60_000,
        signers: [
          {
            issuer: 'urn:shop',
            keys: {
              find: () => {
                throw new UnavailableError('ERR_TEST', 'down')
              },
            },
          },
        ],
      }),
    })
    const heard: string[] = []
    await using shop = await producer({ client: await open(), identity: sign() })
    await using waiting = await consumer(
      { client: await open(), queue, guard: patient, deadLetter: dead },
      (message) => void heard.push(message.content.toString()),
    )
    await shop.send({ routingKey: queue, content: 'patience' })
    await wait(700)
    expect([heard, await drain(dead, 0)]).toEqual([[], []])
    await waiting.close()
    await using judging = await consumer(
      { client: await open(), queue, guard: warehouse(), deadLetter: dead },
      (message) => void heard.push(`${message.content.toString()} ${message.redelivered}`),
    )
    await expect.poll(() => heard).toEqual(['patience true'])
    void judging
  })

  it('go back to the queue when the handler throws, and are handed over again', async () => {
    const [queue = '', dead = ''] = await queues('orders', 'dead')
    const events: AuditEvent[] = []
    let turn = 0
    await using shop = await producer({ client: await open(), identity: sign() })
    await using listening = await consumer(
      { client: await open(), queue, guard: warehouse((event) => events.push(event)), deadLetter: dead },
      () => {
        if (turn++ === 0) throw new Error('mine')
      },
    )
    await shop.send({ routingKey: queue, content: 'again' })
    await expect.poll(() => turn).toBe(2)
    expect(events.map((event) => ('code' in event ? event.code : undefined))).toContain('ERR_RABBITMQ_HANDLER')
    expect(await drain(dead, 0)).toEqual([])
    void listening
  })

  it('are refused at once where there is no queue, no permission, or a reserved header', async () => {
    await using shop = await producer({ client: await open(), identity: sign() })
    await expect(shop.send({ routingKey: 'no-such-queue', content: 'x' })).rejects.toMatchObject({ code: 'ERR_RABBITMQ_UNROUTABLE' })
    await expect(shop.send({ exchange: 'no-such-exchange', routingKey: '', content: 'x' })).rejects.toMatchObject({
      code: 'ERR_RABBITMQ_NOT_FOUND',
    })
    for (const wrong of [
      { headers: { 'Portcullis-Identity': 'y' } },
      { headers: { 'amqp:replyTo': 'y' } },
      { headers: { ['y'.repeat(256)]: 'y' } },
      { routingKey: 'y'.repeat(256) },
      { id: 'y'.repeat(256) },
    ])
      await expect(shop.send({ routingKey: 'x', content: 'x', ...wrong })).rejects.toMatchObject({ code: 'ERR_RABBITMQ_MESSAGE' })
    await expect(shop.send({ routingKey: 'x', content: 'x', id: '' })).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
    const alice = broker.pki.issue({ name: 'alice' })
    const mine = await open({
      tls: { ...trust(), identity: { key: { pem: alice.key }, certificates: { pem: alice.certificate } } },
      credentials: 'certificate',
    })
    const [queue = ''] = await queues('not-alices')
    await expect(consumer({ client: mine, queue, guard: warehouse(), deadLetter: 'other' }, () => undefined)).rejects.toMatchObject({
      code: 'ERR_RABBITMQ_FORBIDDEN',
    })
    await expect(
      consumer({ client: await open(), queue: 'no-such-queue', guard: warehouse(), deadLetter: 'other' }, () => undefined),
    ).rejects.toMatchObject({ code: 'ERR_RABBITMQ_NOT_FOUND' })
    const [real = ''] = await queues('orders')
    await shop.send({ routingKey: real, content: 'still alive' })
  })

  it('interoperate: foreign clients read what we sign, and what they send lands among the dead letters', async () => {
    const [queue = '', dead = ''] = await queues('orders', 'dead')
    await using shop = await producer({ client: await open(), identity: sign() })
    await shop.send({ routingKey: queue, content: 'for everybody' })
    const url = `amqps://app:app-secret@localhost:${broker.port}`
    const tls = ['--cacert', broker.pki.ca.certificateFile]
    const read = await runForeign('amqp-tools', 'amqp-get', ['--url', url, ...tls, '--queue', queue])
    expect(read.output).toContain('for everybody')
    await runForeign('amqp-tools', 'amqp-publish', ['--url', url, ...tls, '--routing-key', queue, '--body', 'from elsewhere'])
    await using listening = await consumer({ client: await open(), queue, guard: warehouse(), deadLetter: dead }, () => undefined)
    expect((await drain(dead, 1)).map(({ text }) => text)).toEqual(['from elsewhere'])
    void listening
  })
})

describe('a signature', () => {
  it('covers a property where consumers look for it, and no header that has its name', () => {
    expect([...signedForm([['tenant', 'acme']], { replyTo: 'here', type: 'order' })]).toEqual([
      ['tenant', 'acme'],
      ['amqp:replyTo', 'here'],
      ['amqp:type', 'order'],
    ])
    expect([...signedForm([['amqp:replyTo', 'here']], {})]).toEqual([])
  })
})

describe('credentials', () => {
  it(
    'are renewed in place: a consumer lives through five expiries of its token and a restart of the broker',
    { timeout: 90_000 },
    async () => {
      const [queue = '', dead = ''] = await queues('orders', 'dead')
      let issued = 0
      const renewed: CredentialSource = () => {
        issued++
        const expiresAt = Math.floor(Date.now() / 1_000) + 3
        const token = issuer.token({
          aud: 'rabbitmq',
          scope: 'rabbitmq.read:*/* rabbitmq.write:*/* rabbitmq.configure:*/*',
          exp: expiresAt,
        })
        return { credential: { kind: 'bearer', carrier: 'sasl', token: secret(token) }, expiresAt: new Date(expiresAt * 1_000) }
      }
      const heard: string[] = []
      const opened = await open({ credentials: renewed })
      await using listening = await consumer(
        { client: opened, queue, guard: warehouse(), deadLetter: dead },
        (message) => void heard.push(message.content.toString()),
      )
      await using shop = await producer({ client: opened, identity: sign(), maxAttempts: 20 })
      const sent: string[] = []
      const until = Date.now() + 16_000
      for (let at = 0; Date.now() < until; at++) {
        await shop.send({ routingKey: queue, content: String(at) })
        sent.push(String(at))
        await wait(200)
      }
      expect(issued).toBeGreaterThanOrEqual(2 * 6)
      await broker.restart()
      await shop.send({ routingKey: queue, content: 'after the restart' })
      sent.push('after the restart')
      await expect.poll(() => new Set(heard), { timeout: 30_000 }).toEqual(new Set(sent))
      expect(heard.length).toBe(new Set(heard).size)
      void listening
    },
  )
})
