import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { authenticator, secret, UnavailableError, vouchForPrincipal, type AuditEvent, type DelegatedSource } from '@portcullis/core'
import { signedMessages } from '@portcullis/message'
import { startStan } from '@portcullis/test-servers'
import { connect as connectPlain, type Message } from 'node-nats-streaming'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dropRefused, withoutIdentity } from './danger.ts'
import { consumer, frame, guard, producer, scope, unframe } from './index.ts'
import { authenticate, codes, malloryKeys, Scene, shopKeys, warehouse, type Stored } from './stan.test-support.ts'

let scene: Scene
beforeAll(async () => {
  scene = new Scene(await startStan())
}, 60_000)
afterAll(() => scene?.[Symbol.asyncDispose]())

const codeOf = ({ headers }: Stored): unknown => headers['portcullis-dead-letter-code']
const contentOf = ({ parts }: Stored): Buffer => (parts.kind === 'framed' ? parts.content : Buffer.from('no frame'))

describe('messages', () => {
  it('reach the handler with their producer; those of others reach the dead letters, with their bytes and the reason', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    const heard: [string, string, number, string | undefined][] = []
    const events: AuditEvent[] = []
    await using listening = await consumer(
      {
        client: await scene.open(),
        clientId,
        channel,
        durable,
        guard: warehouse((event) => events.push(event)),
        deadLetter: dead,
        prefetch: 1,
      },
      (message, principal) =>
        void heard.push([message.content.toString(), principal.subject, message.sequence, message.headers.get('tenant')?.join()]),
    )
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await using forger = await producer({ client: await scene.open(), identity: scene.sign(malloryKeys.privateKey) })
    await using elsewhere = await producer({ client: await scene.open(), identity: scene.sign(undefined, { audience: 'elsewhere' }) })
    await using mute = await producer({ client: await scene.open(), identity: withoutIdentity })
    const bare = await scene.connect()
    await shop.send({ channel, content: 'one', headers: { tenant: 'acme' } })
    await forger.send({ channel, content: 'forged' })
    await elsewhere.send({ channel, content: 'for others' })
    await mute.send({ channel, content: 'unsigned' })
    const raw = Buffer.from([0xff, 0, 0x80, 13, 10])
    await bare.publish(channel, raw)
    await bare.publish(channel, Buffer.from('\xffNATS/1.0\r\nbroken', 'latin1'))
    await expect.poll(() => heard).toEqual([['one', 'urn:shop', 1, 'acme']])
    const [originals, letters] = [await scene.stored(channel, 6), await scene.stored(dead, 5)]
    expect(letters.map((letter) => [codeOf(letter), letter.headers['portcullis-dead-letter-reason']])).toEqual([
      ['ERR_JWT_SIGNATURE_INVALID', 'identity-refused'],
      ['ERR_JWT_AUDIENCE_UNEXPECTED', 'identity-refused'],
      ['ERR_CREDENTIAL_MISSING', 'no-identity'],
      ['ERR_CREDENTIAL_MISSING', 'no-identity'],
      ['ERR_CREDENTIAL_MALFORMED', 'malformed'],
    ])
    // Byte by byte as they stood, with the frame that they came in.
    expect(letters.map(contentOf)).toEqual(originals.slice(1).map(({ data }) => data))
    expect(contentOf(letters[3] as Stored)).toEqual(raw)
    expect(letters[0]?.headers).toMatchObject({ 'portcullis-dead-letter-channel': channel, 'portcullis-dead-letter-sequence': '2' })
    await expect.poll(() => events.filter(({ type }) => type === 'messageRefused').length).toBe(5)
    await bare.close()
    await listening.close()
    await listening.ended
  })

  it('are refused when they were moved, replayed, or changed', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign(undefined, { headers: ['tenant'] }) })
    await shop.send({ channel, content: 'sound', headers: { tenant: 'acme' } })
    await shop.send({ channel: `${channel}.elsewhere`, content: 'sound', headers: { tenant: 'acme' } })
    const [[original], [other]] = [await scene.stored(channel, 1), await scene.stored(`${channel}.elsewhere`, 1)]
    const own = await scene.connect()
    const forge = async (from: Stored | undefined, content: string, changes: Record<string, string> = {}): Promise<void> =>
      own.publish(channel, frame(Object.entries({ ...from?.headers, ...changes }), Buffer.from(content)))
    await forge(other, 'sound')
    await forge(original, 'tampered')
    await forge(original, 'sound', { tenant: 'other' })
    await forge(original, 'sound', { 'Nats-Msg-Id': 'mine' })
    await own.publish(channel, original?.data ?? Buffer.alloc(0))
    await own.publish(channel, frame([...Object.entries(original?.headers ?? {}), ['portcullis-identity', 'a.b.c']], Buffer.from('sound')))
    const heard: string[] = []
    await using listening = await consumer(
      { client: await scene.open(), clientId, channel, durable, guard: warehouse(), deadLetter: dead, prefetch: 1 },
      (message) => void heard.push(message.content.toString()),
    )
    expect((await scene.stored(dead, 6)).map(codeOf)).toEqual([
      'ERR_MESSAGE_ADDRESS',
      'ERR_MESSAGE_PAYLOAD',
      'ERR_MESSAGE_HEADERS',
      'ERR_MESSAGE_ID',
      'ERR_MESSAGE_REPLAYED',
      'ERR_CREDENTIAL_AMBIGUOUS',
    ])
    expect(heard).toEqual(['sound'])
    await own.close()
    void listening
  })

  it('are refused when a replay is handed out a second time, too: the flag of the server makes nothing good', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await shop.send({ channel, content: 'once' })
    const [original] = await scene.stored(channel, 1)
    const own = await scene.connect()
    await own.publish(channel, original?.data ?? Buffer.alloc(0))
    // Whoever has the place before takes both and acknowledges only the first.
    const settings = own.stan
      .subscriptionOptions()
      .setManualAckMode(true)
      .setDurableName(durable)
      .setDeliverAllAvailable()
      .setAckWait(1_000)
    let seen = 0
    await own.subscribe(channel, 'group', settings, (subscription) => subscription.on('message', () => void seen++))
    await expect.poll(() => seen).toBe(2)
    await own.close()
    const heard: [string, boolean][] = []
    await using listening = await consumer(
      { client: await scene.open(), clientId, channel, durable, queue: 'group', guard: warehouse(), deadLetter: dead, prefetch: 1 },
      (message) => void heard.push([message.content.toString(), message.redelivered]),
    )
    expect((await scene.stored(dead, 1)).map(codeOf)).toEqual(['ERR_MESSAGE_REPLAYED'])
    expect(heard).toEqual([['once', true]])
    void listening
  })

  it('are judged by the time at which the server took them, not by now', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await shop.send({ channel, content: 'in time' })
    const [signed] = await scene.stored(channel, 1)
    // Longer than a message may be on its way, and than one may be old.
    await wait(3_200)
    const own = await scene.connect()
    await own.publish(`${channel}.late`, signed?.data ?? Buffer.alloc(0))
    await own.publish(channel, signed?.data ?? Buffer.alloc(0))
    await own.close()
    const impatient = guard({
      authenticate: signedMessages({
        audience: 'warehouse',
        signers: [{ issuer: 'urn:shop', keys: { publicKey: shopKeys.publicKey } }],
        maxAgeMs: 1,
        maxTransitMs: 1_500,
        clockToleranceMs: 1_000,
      }),
    })
    const heard: string[] = []
    await using listening = await consumer(
      { client: await scene.open(), clientId, channel, durable, guard: impatient, deadLetter: dead, prefetch: 1 },
      (message) => void heard.push(message.content.toString()),
    )
    expect((await scene.stored(dead, 1)).map(codeOf)).toEqual(['ERR_MESSAGE_UNTIMELY'])
    expect(heard).toEqual(['in time'])
    void listening
  })

  it('without the right are refused by scope, and dropped where that is said', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    const strict = guard({ authenticate: authenticate(), authorize: scope('orders:delete') })
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await shop.send({ channel, content: 'x' })
    const heard: unknown[] = []
    const options = { client: await scene.open(), channel, guard: strict }
    await using listening = await consumer({ ...options, clientId, durable, deadLetter: dead }, (message) => void heard.push(message))
    expect((await scene.stored(dead, 1)).map(({ headers }) => headers['portcullis-dead-letter-reason'])).toEqual(['scope-missing'])
    await using dropping = await consumer({ ...options, clientId: `${clientId}-2`, durable: 'b', deadLetter: dropRefused }, (message) =>
      heard.push(message),
    )
    await wait(300)
    expect([heard, (await scene.stored(dead, 1)).length]).toEqual([[], 1])
    void [listening, dropping]
  })

  it('wait while nobody can judge them, and are neither handled nor dead-lettered meanwhile', { timeout: 15_000 }, async () => {
    const { channel, dead, clientId, durable } = scene.names()
    const events: AuditEvent[] = []
    let [turns, down] = [0, true]
    const signers = authenticate()
    const patient = guard({
      authenticate: authenticator('keys that are out of reach for a while', (request, context) => {
        turns++
        if (down) throw new UnavailableError('ERR_TEST', 'down')
        return signers.authenticate(request, context)
      }),
      audit: (event) => events.push(event),
    })
    const heard: string[] = []
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await using listening = await consumer(
      { client: await scene.open(), clientId, channel, durable, guard: patient, deadLetter: dead, prefetch: 2, ackWaitSeconds: 1 },
      (message) => void heard.push(message.content.toString()),
    )
    for (const content of ['a', 'b', 'c']) await shop.send({ channel, content })
    // Longer than the server waits, so it hands them out again meanwhile.
    await wait(2_500)
    expect(turns).toBeGreaterThan(1)
    expect([heard, await scene.stored(dead, 0)]).toEqual([[], []])
    await expect.poll(() => codes(events)).toContain('ERR_STAN_UNAVAILABLE')
    down = false
    await expect.poll(() => heard.toSorted(), { timeout: 8_000 }).toEqual(['a', 'b', 'c'])
    await wait(1_500)
    // Each once, although each was handed out more than once.
    expect([heard.length, await scene.stored(dead, 0)]).toEqual([3, []])
    void listening
  })

  it('are handed out again when the handler throws, and not when it took longer than the server waits', { timeout: 15_000 }, async () => {
    const { channel, dead, clientId, durable } = scene.names()
    const events: AuditEvent[] = []
    const heard: string[] = []
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await using listening = await consumer(
      {
        client: await scene.open(),
        clientId,
        channel,
        durable,
        guard: warehouse((event) => events.push(event)),
        deadLetter: dead,
        ackWaitSeconds: 1,
      },
      async ({ content, redelivered }) => {
        heard.push(`${content.toString()} ${redelivered}`)
        if (content.toString() === 'slow') await wait(2_500)
        else if (!redelivered) throw new Error('mine')
      },
    )
    await shop.send({ channel, content: 'again' })
    await shop.send({ channel, content: 'slow' })
    await wait(4_500)
    expect(heard).toEqual(['again false', 'slow false', 'again true'])
    await expect.poll(() => codes(events)).toContain('ERR_STAN_HANDLER')
    expect(await scene.stored(dead, 0)).toEqual([])
    void listening
  })

  it('that nearly fill the server’s limit do not block the dead letters, and greater ones are not sent', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    await using mute = await producer({ client: await scene.open(), identity: withoutIdentity })
    const own = await scene.connect()
    const limit = 1_048_576
    await expect(mute.send({ channel, content: Buffer.alloc(limit) })).rejects.toMatchObject({ code: 'ERR_STAN_MESSAGE' })
    await own.publish(channel, Buffer.alloc(limit - 400, 1))
    await own.publish(channel, Buffer.from('small'))
    await using listening = await consumer(
      { client: await scene.open(), clientId, channel, durable, guard: warehouse(), deadLetter: dead, prefetch: 1 },
      () => undefined,
    )
    const letters = await scene.stored(dead, 2)
    expect(letters.map((letter) => [contentOf(letter).toString(), letter.headers['portcullis-dead-letter-omitted']])).toEqual([
      ['', String(limit - 400)],
      ['small', undefined],
    ])
    expect(letters[0]?.headers['portcullis-dead-letter-sequence']).toBe('1')
    await own.close()
    void listening
  })

  it('that cannot be sent are refused at once', async () => {
    const { channel } = scene.names()
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    for (const headers of [{ 'Portcullis-Identity': 'y' }, { 'Nats-Msg-Id': 'z' }, { a: 'b\r\nc: d' }, { 'a:b': 'c' }])
      await expect(shop.send({ channel, content: 'x', headers })).rejects.toMatchObject({ code: 'ERR_STAN_MESSAGE' })
    for (const wrong of ['orders.*', 'orders.>', 'a b', '.a'])
      await expect(shop.send({ channel: wrong, content: 'x' })).rejects.toMatchObject({ code: 'ERR_STAN_MESSAGE' })
    await expect(shop.send({ channel, content: 'x', id: 'a\r\nb: c' })).rejects.toMatchObject({ code: 'ERR_STAN_MESSAGE' })
  })

  it('speak for a user by a token that the signature covers', async () => {
    const { channel, clientId, durable, dead } = scene.names()
    const onBehalfOf = vouchForPrincipal({ issuer: 'urn:users', subject: 'alice' })
    const caller: DelegatedSource = () => ({ credential: { kind: 'bearer', carrier: 'a', token: secret('alices-token') } })
    await using shop = await producer({ client: await scene.open(), identity: scene.sign(), caller })
    await shop.send({ channel, content: 'x', onBehalfOf })
    await using alone = await producer({ client: await scene.open(), identity: scene.sign() })
    await expect(alone.send({ channel, content: 'x', onBehalfOf })).rejects.toMatchObject({ code: 'ERR_CALLER_MISSING' })
    const [original] = await scene.stored(channel, 1)
    const own = await scene.connect()
    await own.publish(channel, frame(Object.entries({ ...original?.headers, 'portcullis-caller': 'bobs-token' }), Buffer.from('x')))
    await own.close()
    const heard: unknown[] = []
    await using listening = await consumer(
      { client: await scene.open(), clientId, channel, durable, guard: warehouse(), deadLetter: dead, prefetch: 1 },
      (message) => void heard.push(message.headers.get('portcullis-caller')),
    )
    expect((await scene.stored(dead, 1)).map(codeOf)).toEqual(['ERR_MESSAGE_CALLER'])
    expect(heard).toEqual([['alices-token']])
    void listening
  })

  it('interoperate: the plain library reads what we sign by its frame, and what it sends lands among the dead letters', async () => {
    const { channel, dead, clientId, durable } = scene.names()
    const { clusterId, port, username: user, password: pass, pki } = scene.server
    const plain = connectPlain(clusterId, 'plain', { url: `tls://localhost:${port}`, user, pass, tls: { ca: pki.ca.certificate } })
    await once(plain, 'connect')
    await using shop = await producer({ client: await scene.open(), identity: scene.sign() })
    await shop.send({ channel, content: 'for everybody' })
    const reading = plain.subscribe(channel, plain.subscriptionOptions().setDeliverAllAvailable())
    const [message] = (await once(reading, 'message')) as [Message]
    const parts = unframe(message.getRawData())
    expect(parts.kind === 'framed' && parts.content.toString()).toBe('for everybody')
    await new Promise((resolve) => plain.publish(channel, 'from elsewhere', resolve))
    const heard: string[] = []
    await using listening = await consumer(
      { client: await scene.open(), clientId, channel, durable, guard: warehouse(), deadLetter: dead },
      ({ content }) => void heard.push(content.toString()),
    )
    expect((await scene.stored(dead, 1)).map((letter) => contentOf(letter).toString())).toEqual(['from elsewhere'])
    expect(heard).toEqual(['for everybody'])
    plain.close()
    await once(plain, 'close')
    void listening
  })
})
