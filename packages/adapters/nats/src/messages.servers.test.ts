import { connect as connectOld } from 'nats'
import { setTimeout as wait } from 'node:timers/promises'
import { systemClock, UnavailableError, type AuditEvent, type Clock } from '@portcullis/core'
import { signedMessages } from '@portcullis/message'
import { startNats } from '@portcullis/test-servers'
import { headers as nativeHeaders } from '@nats-io/transport-node'
import { jetstreamManager } from '@nats-io/jetstream'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { consumer, guard, producer, publisher, subscriber } from './index.ts'
import { anyReply, withoutIdentity } from './danger.ts'
import { sealer } from './outgoing.ts'
import { malloryKeys, Scene, shopKeys, warehouse } from './nats.test-support.ts'

const config = `authorization { users = [
  { user: user, password: password },
  { user: reader, password: reader, permissions: { publish: [ "$JS.>" ], subscribe: [ "_INBOX.>", "allowed" ] } } ] }`
let scene: Scene
beforeAll(async () => {
  scene = new Scene(await startNats({ jetstream: true, config }))
}, 60_000)
afterAll(() => scene?.[Symbol.asyncDispose]())

const codes = (events: readonly AuditEvent[]): unknown[] => events.map((event) => ('code' in event ? event.code : undefined))

describe('messages of streams', () => {
  it('reach the handler with their producer; those of others reach the dead letters, with their bytes and the reason', async () => {
    const { name, subject, dead, deadStream } = await scene.stream()
    const heard: [string, string, number | undefined][] = []
    await using listening = await consumer(
      { client: await scene.open(), stream: name, consumer: 'worker', guard: warehouse(), deadLetter: dead },
      (message, principal) => void heard.push([message.content.toString(), principal.subject, message.stored?.sequence]),
    )
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await using forger = await producer({ client: await scene.open(), identity: scene.sign(malloryKeys.privateKey) })
    await using mute = await producer({ client: await scene.open(), identity: withoutIdentity })
    await shop.send({ subject, content: 'one', headers: { tenant: 'acme' } })
    await forger.send({ subject, content: 'forged' })
    await mute.send({ subject, content: 'unsigned' })
    await expect.poll(() => heard).toEqual([['one', 'urn:shop', 1]])
    await expect.poll(() => scene.unfinished(name)).toBe(0)
    const letters = await scene.stored(deadStream)
    expect(
      letters
        .map(({ text, headers }) => [text, headers['portcullis-dead-letter-code'], headers['portcullis-dead-letter-reason']])
        .toSorted((a, b) => String(a[0]).localeCompare(String(b[0]))),
    ).toEqual([
      ['forged', 'ERR_JWT_SIGNATURE_INVALID', 'identity-refused'],
      ['unsigned', 'ERR_CREDENTIAL_MISSING', 'no-identity'],
    ])
    expect(letters[0]?.headers).toMatchObject({ 'portcullis-dead-letter-subject': subject, 'portcullis-dead-letter-stream': name })
    void listening
  })

  it('are refused when they were moved, replayed, or changed', async () => {
    const { name, subject, dead, deadStream } = await scene.stream()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign(shopKeys.privateKey, ['tenant']) })
    await shop.send({ subject, content: 'sound', headers: { tenant: 'acme' } })
    const [original] = await scene.stored(name)
    const own = await (await scene.open()).open()
    const forge = (to: string, content: string, changes: Record<string, string> = {}): void => {
      const headers = nativeHeaders()
      // Without the identifier in the header, by which the stream itself would drop the copy.
      for (const [key, value] of Object.entries({ ...original?.headers, 'Nats-Msg-Id': '', ...changes }))
        if (value !== '') headers.append(key, value)
      own.publish(to, content, { headers })
    }
    forge(`${subject}.elsewhere`, 'sound')
    forge(subject, 'tampered')
    forge(subject, 'sound', { tenant: 'other' })
    forge(subject, 'sound', { 'Nats-Msg-Id': 'mine' })
    forge(subject, 'sound')
    await own.flush()
    const heard: string[] = []
    await using listening = await consumer(
      { client: await scene.open(), stream: name, consumer: 'worker', guard: warehouse(), deadLetter: dead, prefetch: 1 },
      (message) => void heard.push(message.content.toString()),
    )
    await expect.poll(() => scene.unfinished(name)).toBe(0)
    expect(heard).toEqual(['sound'])
    expect((await scene.stored(deadStream)).map(({ headers }) => headers['portcullis-dead-letter-code'])).toEqual([
      'ERR_MESSAGE_ADDRESS',
      'ERR_MESSAGE_PAYLOAD',
      'ERR_MESSAGE_HEADERS',
      'ERR_MESSAGE_ID',
      'ERR_MESSAGE_REPLAYED',
    ])
    await own.close()
    void listening
  })

  it('wait while nobody can judge them, for longer than the server would, and are neither handled nor dead-lettered meanwhile', async () => {
    const { name, subject, dead, deadStream } = await scene.stream(600)
    let turn = 0
    const patient = guard({
      authenticate: signedMessages({
        audience: 'warehouse',
        maxAgeMs: 60_000,
        signers: [
          {
            issuer: 'urn:shop',
            keys: {
              find: () => {
                turn++
                throw new UnavailableError('ERR_TEST', 'down')
              },
            },
          },
        ],
      }),
    })
    const heard: number[] = []
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await using waiting = await consumer(
      { client: await scene.open(), stream: name, consumer: 'worker', guard: patient, deadLetter: dead },
      (message) => void heard.push(message.stored?.deliveries ?? 0),
    )
    await shop.send({ subject, content: 'patience' })
    await wait(1_500)
    expect(turn).toBeGreaterThan(1)
    expect([heard, await scene.stored(deadStream), await scene.unfinished(name)]).toEqual([[], [], 1])
    await waiting.close()
    await using judging = await consumer(
      { client: await scene.open(), stream: name, consumer: 'worker', guard: warehouse(), deadLetter: dead },
      (message) => void heard.push(message.stored?.deliveries ?? 0),
    )
    // The second delivery: while it waited, the server was told so.
    await expect.poll(() => heard).toEqual([2])
    void judging
  })

  it('are handled once, however often the server hands them out meanwhile', async () => {
    // Shorter than it takes to say that it is being worked on.
    const { name, subject, dead } = await scene.stream(30)
    const own = await (await scene.open()).open()
    const heard: string[] = []
    await using listening = await consumer(
      { client: await scene.open(), stream: name, consumer: 'worker', guard: warehouse(), deadLetter: dead },
      async (message) => {
        heard.push(message.content.toString())
        await wait(600)
      },
    )
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await shop.send({ subject, content: 'slowly' })
    await expect.poll(() => scene.unfinished(name)).toBe(0)
    const { delivered } = await (await jetstreamManager(own)).consumers.info(name, 'worker')
    expect([delivered.consumer_seq > 1, heard]).toEqual([true, ['slowly']])
    await own.close()
    void listening
  })

  it('are handed over again when the handler throws', async () => {
    const { name, subject, dead, deadStream } = await scene.stream()
    const events: AuditEvent[] = []
    let turn = 0
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await using listening = await consumer(
      { client: await scene.open(), stream: name, consumer: 'worker', guard: warehouse((event) => events.push(event)), deadLetter: dead },
      () => {
        if (turn++ === 0) throw new Error('mine')
      },
    )
    await shop.send({ subject, content: 'again' })
    await expect.poll(() => turn).toBe(2)
    await expect.poll(() => scene.unfinished(name)).toBe(0)
    expect(codes(events)).toContain('ERR_NATS_HANDLER')
    expect(await scene.stored(deadStream)).toEqual([])
    void listening
  })

  it('are refused at once where there is no stream, no permission, or a reserved header', async () => {
    const { name, subject } = await scene.stream()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await expect(shop.send({ subject: 'no.such.stream', content: 'x' })).rejects.toMatchObject({ code: 'ERR_NATS_UNROUTABLE' })
    for (const headers of [{ 'Portcullis-Identity': 'y' }, { 'Nats-Rollup': 'all' }, { a: 'b\r\nc: d' }, { 'a:b': 'c' }])
      await expect(shop.send({ subject, content: 'x', headers })).rejects.toMatchObject({ code: 'ERR_NATS_MESSAGE' })
    await expect(shop.send({ subject, content: 'x', id: 'a\r\nNats-Rollup: all' })).rejects.toMatchObject({ code: 'ERR_NATS_MESSAGE' })
    await expect(shop.send({ subject: 'orders.*', content: 'x' })).rejects.toMatchObject({ code: 'ERR_NATS_MESSAGE' })
    const reader = await scene.open({ credentials: scene.as('reader', 'reader') })
    await using reading = await producer({ client: reader, identity: scene.sign() })
    await expect(reading.send({ subject, content: 'x' })).rejects.toMatchObject({ code: 'ERR_NATS_FORBIDDEN' })
    const options = { client: await scene.open(), stream: name, consumer: 'worker', guard: warehouse(), deadLetter: 'other' }
    await expect(consumer({ ...options, consumer: 'nobody' }, () => undefined)).rejects.toMatchObject({ code: 'ERR_NATS_NOT_FOUND' })
    await expect(consumer({ ...options, stream: 'nowhere' }, () => undefined)).rejects.toMatchObject({ code: 'ERR_NATS_NOT_FOUND' })
    const own = await (await scene.open()).open()
    await (await jetstreamManager(own)).consumers.add(name, { durable_name: 'careless', ack_policy: 'none' })
    await own.close()
    await expect(consumer({ ...options, consumer: 'careless' }, () => undefined)).rejects.toMatchObject({ code: 'ERR_NATS_STREAM' })
    await shop.send({ subject, content: 'still alive' })
  })

  it('end the consumer when the stream’s consumer is deleted', async () => {
    const { name, dead } = await scene.stream()
    await using listening = await consumer(
      { client: await scene.open(), stream: name, consumer: 'worker', guard: warehouse(), deadLetter: dead },
      () => undefined,
    )
    const own = await (await scene.open()).open()
    await (await jetstreamManager(own)).consumers.delete(name, 'worker')
    await own.close()
    await expect(listening.ended).rejects.toMatchObject({ code: 'ERR_NATS_NOT_FOUND' })
  })

  it('are judged by when the stream took them, and are the same wherever they are read', async () => {
    const { name, subject, dead, deadStream } = await scene.stream()
    const own = await (await scene.open()).open()
    await (await jetstreamManager(own)).consumers.add(name, { durable_name: 'second', ack_policy: 'explicit' })
    await own.close()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await shop.send({ subject, content: 'old' })
    const clock: Clock = { now: () => Date.now() + 3_600_000, schedule: (delayMs, task) => systemClock.schedule(delayMs, task) }
    const tomorrow = guard({
      authenticate: signedMessages({
        audience: 'warehouse',
        signers: [{ issuer: 'urn:shop', keys: { publicKey: shopKeys.publicKey } }],
        maxAgeMs: 60_000,
        clock,
      }),
      clock,
    })
    const heard: string[] = []
    for (const durable of ['worker', 'second']) {
      await using listening = await consumer(
        { client: await scene.open(), stream: name, consumer: durable, guard: tomorrow, deadLetter: dead },
        (message) => void heard.push(`${durable} ${message.content.toString()}`),
      )
      await expect.poll(() => heard).toContain(`${durable} old`)
      void listening
    }
    expect(await scene.stored(deadStream)).toEqual([])
  })

  it('that leave no room for the reason are dead letters without their bytes, and hold nobody up', async () => {
    const { name, subject, dead, deadStream } = await scene.stream()
    const own = await (await scene.open()).open()
    const most = own.info?.max_payload ?? 0
    const letters: string[] = []
    own.subscribe('core.dead.*', {
      callback: (_error, { data, headers }) => void letters.push(`${data.length} ${headers?.get('portcullis-dead-letter-omitted')}`),
    })
    const client = await scene.open()
    await using subscribed = await subscriber(
      { client, subject: 'most', guard: warehouse(), deadLetter: 'core.dead.most' },
      () => undefined,
    )
    const heard: string[] = []
    await using listening = await consumer(
      { client, stream: name, consumer: 'worker', guard: warehouse(), deadLetter: dead, prefetch: 1 },
      (message) => void heard.push(message.content.toString()),
    )
    own.publish('most', new Uint8Array(most))
    own.publish(subject, new Uint8Array(most))
    await own.flush()
    await using shop = await producer({ client, identity: scene.sign() })
    await shop.send({ subject, content: 'next' })
    await expect.poll(() => heard).toEqual(['next'])
    const [letter] = await scene.stored(deadStream)
    expect(letter).toMatchObject({
      text: '',
      headers: {
        'portcullis-dead-letter-omitted': 'content, headers',
        'portcullis-dead-letter-reason': 'no-identity',
        'portcullis-dead-letter-sequence': '1',
      },
    })
    await expect.poll(() => letters).toEqual(['0 content, headers'])
    await own.close()
    void [listening, subscribed]
  })

  it('are not taken from somebody who writes into the inbox of the consumer', async () => {
    const { name, subject, dead, deadStream } = await scene.stream()
    const own = await (await scene.open()).open()
    const inboxes: string[] = []
    const answers: string[] = []
    // Who may read and write everywhere learns from the request where the messages will go.
    own.subscribe('$JS.API.CONSUMER.MSG.NEXT.>', { callback: (_error, { reply = '' }) => void inboxes.push(reply) })
    own.subscribe('elsewhere', { callback: (_error, { data }) => void answers.push(Buffer.from(data).toString()) })
    await own.flush()
    const heard: string[] = []
    await using listening = await consumer(
      { client: await scene.open(), stream: name, consumer: 'worker', guard: warehouse(), deadLetter: dead },
      (message) => void heard.push(message.content.toString()),
    )
    await expect.poll(() => inboxes.length).toBeGreaterThan(0)
    const ofAnother = '$JS.ACK.other.worker.1.1.1.1795000000000000000.0'
    for (const reply of ['', 'elsewhere', ofAnother])
      own.publish(inboxes.at(-1) ?? '', 'injected', { headers: nativeHeaders(), ...(reply !== '' && { reply }) })
    // Nor that the consumer was deleted: the server is asked.
    own.publish(inboxes.at(-1) ?? '', '', { headers: nativeHeaders(409, 'Consumer Deleted') })
    await own.flush()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await shop.send({ subject, content: 'one' })
    await expect.poll(() => heard, { timeout: 5_000 }).toEqual(['one'])
    await wait(200)
    expect([heard, answers, await scene.stored(deadStream)]).toEqual([['one'], [], []])
    await own.close()
    void listening
  })

  it('interoperate: the older library reads what we sign, and what it sends lands among the dead letters', async () => {
    const { name, subject, dead, deadStream } = await scene.stream()
    const { username: user, password: pass, pki } = scene.server
    const foreign = await connectOld({ servers: `localhost:${scene.server.port}`, user, pass, tls: { ca: pki.ca.certificate } })
    const read = foreign.subscribe(subject, { max: 1 })
    await foreign.flush()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await shop.send({ subject, content: 'for everybody' })
    for await (const message of read) expect(message.string()).toBe('for everybody')
    await foreign.jetstream().publish(subject, Buffer.from('from elsewhere'))
    const heard: string[] = []
    await using listening = await consumer(
      { client: await scene.open(), stream: name, consumer: 'worker', guard: warehouse(), deadLetter: dead },
      (message) => void heard.push(message.content.toString()),
    )
    await expect.poll(() => scene.unfinished(name)).toBe(0)
    expect([heard, (await scene.stored(deadStream)).map(({ text }) => text)]).toEqual([['for everybody'], ['from elsewhere']])
    await foreign.close()
    void listening
  })

  it('outlive a restart of the server', { timeout: 30_000 }, async () => {
    await using own = new Scene(await startNats({ jetstream: true }))
    const { name, subject, dead } = await own.stream()
    const heard: string[] = []
    await using listening = await consumer(
      { client: await own.open(), stream: name, consumer: 'worker', guard: warehouse(), deadLetter: dead },
      (message) => void heard.push(message.content.toString()),
    )
    await using shop = await producer({ client: await own.open(), identity: own.sign(), maxAttempts: 20 })
    await shop.send({ subject, content: 'before' })
    await own.server.restart()
    await shop.send({ subject, content: 'after' })
    await expect.poll(() => heard, { timeout: 15_000 }).toEqual(['before', 'after'])
    void listening
  })
})

describe('messages of core NATS', () => {
  it('reach subscribers with their producer; others are published to the dead letters', async () => {
    const heard: string[] = []
    const letters: string[] = []
    const own = await (await scene.open()).open()
    own.subscribe('core.dead', {
      callback: (_error, { data, headers }) =>
        void letters.push(`${Buffer.from(data).toString()} ${headers?.get('portcullis-dead-letter-code')}`),
    })
    await own.flush()
    await using listening = await subscriber(
      { client: await scene.open(), subject: 'core.*.sold', guard: warehouse(), deadLetter: 'core.dead' },
      (message, principal) => void heard.push(`${message.subject} ${principal.subject}`),
    )
    await using shop = await publisher({ client: await scene.open(), identity: scene.sign() })
    await shop.publish({ subject: 'core.bikes.sold', content: 'one' })
    own.publish('core.bikes.sold', 'unsigned')
    await expect.poll(() => [heard, letters]).toEqual([['core.bikes.sold urn:shop'], ['unsigned ERR_CREDENTIAL_MISSING']])
    await own.close()
    void listening
  })

  it('ask and answer, each side proven to the other', async () => {
    const asked = guard({
      authenticate: signedMessages({
        audience: 'warehouse',
        signers: [{ issuer: 'urn:shop', keys: { publicKey: shopKeys.publicKey } }],
        maxAgeMs: 60_000,
      }),
    })
    await using answering = await subscriber(
      { client: await scene.open(), subject: 'stock.count', guard: asked, deadLetter: 'core.dead', identity: scene.sign() },
      (message, principal) => ({ content: `${message.content.toString()} for ${principal.subject}` }),
    )
    await using shop = await publisher({
      client: await scene.open(),
      identity: scene.sign(shopKeys.privateKey, ['nats:reply']),
      replies: warehouse(),
    })
    const { message, principal } = await shop.request({ subject: 'stock.count', content: 'bikes' })
    expect([message.content.toString(), principal?.subject]).toEqual(['bikes for urn:shop', 'urn:shop'])
    await expect(shop.request({ subject: 'stock.nobody', content: 'bikes' })).rejects.toMatchObject({ code: 'ERR_NATS_NO_RESPONDER' })
    await using forger = await publisher({ client: await scene.open(), identity: scene.sign(malloryKeys.privateKey), replies: anyReply })
    await expect(forger.request({ subject: 'stock.count', content: 'bikes' })).rejects.toMatchObject({ code: 'ERR_NATS_REQUEST_REFUSED' })
    // Somebody else answers, whom nobody knows.
    const own = await (await scene.open()).open()
    own.subscribe('stock.fake', { callback: (_error, asking) => void asking.respond('a lie') })
    own.subscribe('stock.slow', { callback: () => undefined })
    await own.flush()
    await expect(shop.request({ subject: 'stock.fake', content: 'bikes' })).rejects.toMatchObject({ code: 'ERR_NATS_REPLY_REFUSED' })
    await expect(shop.request({ subject: 'stock.slow', content: 'x' }, { timeoutMs: 200 })).rejects.toMatchObject({
      code: 'ERR_NATS_UNAVAILABLE',
    })
    await own.close()
    await using alone = await publisher({ client: await scene.open(), identity: scene.sign() })
    await expect(alone.request({ subject: 'stock.count', content: 'x' })).rejects.toMatchObject({ code: 'ERR_NATS_REPLY_REFUSED' })
    void answering
  })

  it('are dropped beyond as many as may be under way, and that is told', async () => {
    const events: AuditEvent[] = []
    const heard: string[] = []
    const client = await scene.open()
    const options = { client, subject: 'flood.*', guard: warehouse((event) => events.push(event)), deadLetter: 'core.dead' }
    await expect(subscriber({ ...options, deadLetter: 'flood.dead' }, () => undefined)).rejects.toMatchObject({
      code: 'ERR_OPTION_INVALID',
    })
    await using listening = await subscriber({ ...options, maxInFlight: 1 }, async (message) => {
      heard.push(message.content.toString())
      await wait(500)
    })
    await using shop = await publisher({ client, identity: scene.sign() })
    for (const content of ['first', 'second', 'third']) await shop.publish({ subject: 'flood.orders', content })
    await expect.poll(() => codes(events).filter((code) => code === 'ERR_NATS_HANDLER')).toHaveLength(2)
    await wait(600)
    expect(heard).toEqual(['first'])
    void listening
  })

  it('are answered to inboxes alone, whoever asks', async () => {
    const events: AuditEvent[] = []
    const client = await scene.open()
    const { name, subject } = await scene.stream()
    const own = await (await scene.open()).open()
    await using answering = await subscriber(
      {
        client,
        subject: 'count.of.*',
        guard: warehouse(),
        deadLetter: 'core.dead',
        identity: scene.sign(),
        inboxes: ['_INBOX', 'answers.to.shop.'],
      },
      () => ({ content: 'three' }),
    )
    await using echoing = await subscriber(
      { client, subject: 'echo', guard: warehouse((event) => events.push(event)), deadLetter: 'core.dead', identity: scene.sign() },
      ({ content }) => ({ content }),
    )
    const answers: string[] = []
    for (const to of ['orders.secret', 'answers.>'])
      own.subscribe(to, { callback: (_error, { subject: at, data }) => void answers.push(`${at}: ${Buffer.from(data).toString()}`) })
    await own.flush()
    await using shop = await publisher({ client, identity: scene.sign() })
    await using stock = await producer({ client, identity: scene.sign() })
    await stock.send({ subject, content: 'kept' })
    // Who is refused has nothing deleted in the subscriber's name.
    own.publish('echo', 'unsigned', { reply: `$JS.API.STREAM.PURGE.${name}` })
    own.publish('echo', 'unsigned', { reply: 'orders.secret' })
    const signed = async (to: string, reply: string): Promise<void> => {
      const seal = sealer('a test', { identity: scene.sign() }, scene.origin)
      const { subject: at, content, headers } = await seal({ subject: to, content: 'pay' }, reply)
      own.publish(at, content, { headers, reply })
    }
    // Nor has who is believed anything signed in its name.
    await signed('echo', 'orders.secret')
    await signed('count.of.bikes', 'answers.to.shop.1')
    await signed('count.of.bikes', 'answers.to.shop.>')
    await expect.poll(() => answers).toEqual(['answers.to.shop.1: three'])
    await expect.poll(() => codes(events)).toContain('ERR_NATS_HANDLER')
    await wait(200)
    expect([answers.length, (await scene.stored(name)).length]).toEqual([1, 1])
    await own.close()
    void [answering, echoing, shop]
  })

  it('are heard again after a restart of the server; what was published meanwhile is gone', { timeout: 30_000 }, async () => {
    await using own = new Scene(await startNats())
    const heard: string[] = []
    await using listening = await subscriber(
      { client: await own.open(), subject: 'core.sold', guard: warehouse(), deadLetter: 'core.dead' },
      (message) => void heard.push(message.content.toString()),
    )
    await using shop = await publisher({ client: await own.open(), identity: own.sign() })
    await shop.publish({ subject: 'core.sold', content: 'before' })
    await expect.poll(() => heard).toEqual(['before'])
    await own.server.restart()
    const publish = (): Promise<string> =>
      shop.publish({ subject: 'core.sold', content: 'after' }).then(
        () => 'sent',
        () => 'not sent',
      )
    await expect.poll(async () => [await publish(), heard.at(-1)], { timeout: 15_000, interval: 200 }).toEqual(['sent', 'after'])
    void listening
  })

  it('are refused at once without a permission', async () => {
    const reader = await scene.open({ credentials: scene.as('reader', 'reader') })
    await using shop = await publisher({ client: reader, identity: scene.sign() })
    await expect(shop.publish({ subject: 'core.bikes.sold', content: 'x' })).rejects.toMatchObject({ code: 'ERR_NATS_FORBIDDEN' })
    const options = { client: reader, guard: warehouse(), deadLetter: 'core.dead' }
    await expect(subscriber({ ...options, subject: 'core.>' }, () => undefined)).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
    await expect(subscriber({ ...options, subject: 'secret' }, () => undefined)).rejects.toMatchObject({ code: 'ERR_NATS_FORBIDDEN' })
    await using fine = await subscriber({ ...options, subject: 'allowed' }, () => undefined)
    void fine
  })
})
