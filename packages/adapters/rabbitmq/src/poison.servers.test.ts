import { basicCredentials } from '@portcullis/auth'
import { authenticator, credentialOf, guard, notMine, vouchForPrincipal, type AuditEvent } from '@portcullis/core'
import { startRabbitmq, type Rabbitmq } from '@portcullis/test-servers'
import type { ChannelModel, ConsumeMessage, Options } from 'amqplib'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { client, consumer, type ConsumerOptions, type RabbitmqClient } from './index.ts'
import { messageOf } from './message.ts'
import { DeadLetters, formsOf } from './refuse.ts'

let broker: Rabbitmq
let own: RabbitmqClient
const models: ChannelModel[] = []

beforeAll(async () => {
  // The smallest frames that the protocol knows and short messages, so that much does not fit.
  broker = await startRabbitmq({ extraConfig: 'frame_max = 4096\nmax_message_size = 1000' })
  const url = `amqps://localhost:${broker.port}`
  const credentials = basicCredentials({ username: 'app', password: 'app-secret', targets: [url] })
  own = await client({ url, tls: { side: 'client', trust: { pem: broker.pki.ca.certificate } }, credentials })
}, 60_000)
afterEach(async () => {
  for (const model of models.splice(0)) await model.close().catch(() => undefined)
})
afterAll(async () => {
  own?.close()
  await broker?.stop()
})

// Who says so is let in; nothing else is of interest here.
const guarded = (audit?: (event: AuditEvent) => void) =>
  guard({
    authenticate: authenticator('named', ({ credentials }) => {
      const name = credentialOf(credentials, 'bearer')?.token.reveal()
      return name === undefined ? notMine : vouchForPrincipal({ issuer: 'urn:test', subject: name })
    }),
    ...(audit && { audit }),
  })
const good: Options.Publish = { headers: { 'portcullis-caller': 'shop' } }

async function scene(options: Partial<ConsumerOptions> = {}) {
  const id = Math.random().toString(36).slice(2)
  const [queue, dead, other] = [`orders-${id}`, `dead-${id}`, `other-${id}`]
  for (const name of [queue, dead, other]) await broker.manage('PUT', `/api/queues/%2F/${name}`, { durable: true })
  const open = async (): Promise<ChannelModel> => {
    const model = await own.open()
    models.push(model)
    return model
  }
  const channel = await (await open()).createConfirmChannel()
  const heard: string[] = []
  return {
    queue,
    dead,
    other,
    heard,
    /** Resolves when the broker has stored it. */
    publish: async (content: string, how: Options.Publish = {}) => {
      channel.sendToQueue(queue, Buffer.from(content), how)
      await channel.waitForConfirms()
    },
    /** Writes frames that the library would not write. */
    write: async (properties: Buffer, flags: number) => {
      const raw = await (await open()).createConfirmChannel()
      const confirmed = new Promise((resolve, reject) => {
        raw.once('ack', resolve)
        raw.once('error', reject)
      })
      const { ch, connection } = raw as unknown as { ch: number; connection: { channels: { buffer: { write(frames: Buffer): void } }[] } }
      connection.channels[ch]?.buffer.write(framesOf(ch, queue, properties, flags))
      await confirmed
    },
    consume: () =>
      consumer({ client: own, queue, guard: guarded(), deadLetter: dead, prefetch: 1, ...options }, ({ content }) => {
        heard.push(content.toString())
      }),
    count: async (name: string) => (await channel.checkQueue(name)).messageCount,
    /** The dead letters, as soon as there are so many. */
    letters: async (count: number) => {
      await expect.poll(async () => (await channel.checkQueue(dead)).messageCount, { timeout: 5_000 }).toBe(count)
      const taken = []
      for (let at = 0; at < count; at++) {
        const message = await channel.get(dead, { noAck: true })
        if (message !== false) taken.push({ text: message.content.toString(), headers: message.properties.headers ?? {} })
      }
      return taken
    },
  }
}

function nativeOf(text: string): ConsumeMessage {
  const fields = { exchange: '', routingKey: 'orders', redelivered: false, deliveryTag: 1, consumerTag: 'c' }
  return { fields, content: Buffer.from(text), properties: { headers: { a: 'b' } } as unknown as ConsumeMessage['properties'] }
}

/** `basic.publish` to a queue, its content header, and a body of one byte (AMQP 0-9-1 section 2.3.5). */
function framesOf(channel: number, queue: string, properties: Buffer, flags: number): Buffer {
  const frame = (type: number, payload: Buffer): Buffer => {
    const start = Buffer.alloc(7)
    start[0] = type
    start.writeUInt16BE(channel, 1)
    start.writeUInt32BE(payload.length, 3)
    return Buffer.concat([start, payload, Buffer.of(0xce)])
  }
  const start = Buffer.alloc(14)
  start.writeUInt16BE(60, 0)
  start[11] = 1
  start.writeUInt16BE(flags, 12)
  const method = Buffer.concat([Buffer.of(0, 60, 0, 40, 0, 0, 0), short(Buffer.from(queue)), Buffer.of(0)])
  return Buffer.concat([frame(1, method), frame(2, Buffer.concat([start, properties])), frame(3, Buffer.from('x'))])
}
const short = (text: Buffer): Buffer => Buffer.concat([Buffer.of(text.length), text])
const long = (bytes: Buffer): Buffer => {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
const field = (name: Buffer, kind: string, value: Buffer): Buffer => Buffer.concat([short(name), Buffer.from(kind), value])
const [headers, contentType, messageId, timestamp] = [1 << 13, 1 << 15, 1 << 7, 1 << 6]
const most = Buffer.alloc(8, 0xff)
const noText = Buffer.alloc(255, 0xff)
const name = Buffer.from('a')

describe('a message that cannot be sent again as it came', () => {
  it.each<[string, Buffer, number]>([
    ['headers that leave no room for the reason', long(field(name, 'S', long(Buffer.alloc(3_950, 'b')))), headers],
    ['a time beyond any', long(field(name, 'T', most)), headers],
    ['a table that looks like a value with its type', long(field(name, 'F', long(field(Buffer.from('!'), 'S', long(name))))), headers],
    ['a name that is no text', long(field(noText, 'S', long(name))), headers],
    ['a content type that is no text', short(noText), contentType],
    ['an identifier that is no text', short(noText), messageId],
    ['a time of its own beyond any', most, timestamp],
    ['a kind of value that the library cannot read', long(field(name, 'L', most)), headers],
  ])('for %s is a dead letter with its bytes, and holds nobody up', async (_what, properties, flags) => {
    const { publish, write, consume, heard, letters, queue } = await scene()
    await write(properties, flags)
    await publish('next', good)
    await using listening = await consume()
    await expect.poll(() => heard, { timeout: 5_000 }).toEqual(['next'])
    const [letter] = await letters(1)
    expect(letter).toMatchObject({
      text: 'x',
      headers: {
        'portcullis-dead-letter-omitted': 'headers, properties',
        'portcullis-dead-letter-queue': queue,
        'portcullis-dead-letter-reason': expect.stringMatching(/^(no-identity|malformed)$/),
      },
    })
    void listening
  })

  it('for its length is a dead letter without its bytes; what is under way beside it keeps its own', async () => {
    const { letters, dead } = await scene()
    const store = new DeadLetters(own, dead)
    const forms = (text: string) => formsOf(messageOf(nativeOf(text)), 'orders', { reason: 'missing', code: 'ERR_TEST', at: new Date() })
    // As where what was stored before is more than what may be sent now.
    await Promise.all(['one', 'x'.repeat(2_000), 'two', 'y'.repeat(2_000), 'three'].map((text) => store.store(forms(text))))
    const stored = await letters(5)
    const all = stored.map(({ text, headers: { a: kept, ...said } }) => [text, kept, said['portcullis-dead-letter-omitted']])
    expect(all.toSorted(([one], [other]) => String(one).localeCompare(String(other)))).toEqual([
      ['', undefined, 'content, headers, properties'],
      ['', undefined, 'content, headers, properties'],
      ['one', 'b', undefined],
      ['three', 'b', undefined],
      ['two', 'b', undefined],
    ])
    await store.close()
  })
})

describe('a dead letter', () => {
  it('goes nowhere else, wherever the sender of the message wished it to go', async () => {
    const { publish, consume, letters, count, queue, other, heard } = await scene()
    // Who may write to one exchange names other queues.
    await publish('x', { headers: { CC: [other, queue] } })
    expect([await count(queue), await count(other)]).toEqual([1, 1])
    await publish('next', good)
    await using listening = await consume()
    await expect.poll(() => heard, { timeout: 5_000 }).toEqual(['next'])
    const [letter] = await letters(1)
    expect(letter?.headers).toMatchObject({ 'portcullis-dead-letter-cc': [other, queue] })
    expect(letter?.headers).not.toHaveProperty('CC')
    expect([await count(queue), await count(other)]).toEqual([0, 1])
    void listening
  })
})

describe('a consumer whose connection ends as soon as it is open', () => {
  it('notices also what ends it together with the answer that it may consume', async () => {
    let opened = 0
    const brief: RabbitmqClient = {
      ...own,
      open: async () => {
        const model = await own.open()
        if (opened++ > 0) return model
        const create = model.createChannel.bind(model)
        model.createChannel = async () => {
          const channel = await create()
          const consumed = channel.consume.bind(channel)
          channel.consume = async (...args) => {
            const answer = await consumed(...args)
            const { stream } = model.connection as unknown as { stream: { destroy(error: Error): void } }
            stream.destroy(new Error('cut'))
            await once(model, 'close')
            return answer
          }
          return channel
        }
        return model
      },
    }
    const { consume, publish, heard } = await scene({ client: brief })
    await using listening = await consume()
    await publish('next', good)
    await expect.poll(() => heard, { timeout: 5_000 }).toEqual(['next'])
    expect(opened).toBeGreaterThan(1)
    void listening
  })

  it('opens another, and does so ever less often', async () => {
    let opened = 0
    const events: AuditEvent[] = []
    const brief: RabbitmqClient = {
      ...own,
      open: async () => {
        const model = await own.open()
        opened++
        const { stream } = model.connection as unknown as { stream: { destroy(error: Error): void } }
        setTimeout(() => stream.destroy(new Error('cut')), 30)
        return model
      },
    }
    const { consume } = await scene({ client: brief, guard: guarded((event) => events.push(event)) })
    await using listening = await consume()
    await expect.poll(() => opened, { timeout: 5_000 }).toBeGreaterThan(3)
    await wait(2_000)
    expect(opened).toBeLessThan(10)
    expect(events).toContainEqual(expect.objectContaining({ code: 'ERR_RABBITMQ_UNAVAILABLE' }))
    void listening
  })
})
