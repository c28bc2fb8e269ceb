import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import {
  authenticator,
  credentialOf,
  notMine,
  refused,
  secret,
  UnavailableError,
  vouchForPrincipal,
  type Authenticator,
  type DelegatedSource,
  type Principal,
} from '@portcullis/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dropRefused, withoutIdentity } from './danger.ts'
import { allOf, consumer, guard, producer, scope, type KafkaMessage, type MessageToSend } from './index.ts'
import { broker, guarded, libraries, signatures, signer, user, type Options, type TestBroker } from './kafka.test-support.ts'

let at: TestBroker
let prefix: string
beforeAll(async () => {
  at = await broker()
  prefix = await at.kafka.namespace('alice')
}, 120_000)
afterAll(() => at.close(), 30_000)

describe.each(libraries)('a consumer by %s', (_, client) => {
  async function setUp({
    authenticate,
    partitions = 1,
    time,
    deadBytes,
  }: { authenticate?: Authenticator; partitions?: number; time?: 'CreateTime'; deadBytes?: number } = {}) {
    const topic = `${prefix}${randomUUID()}`
    const dead = `${topic}-dead`
    await at.topics([topic], partitions, time)
    await at.topics([dead], 1, undefined, deadBytes)
    const kafka = await client({ brokers: at.brokers, tls: at.tls, sasl: { mechanism: 'PLAIN', source: user('alice', 'alice-secret') } })
    const { guard: warehouse, events } = guarded(authenticate)
    const good = await producer({ client: kafka, identity: signer(at.origin) })
    const bare = await producer({ client: kafka, identity: withoutIdentity })
    const got: KafkaMessage[] = []
    const options: Options = { client: kafka, group: topic, topics: [topic], guard: warehouse, deadLetter: dead }
    const consume = (
      handle: (message: KafkaMessage, principal: Principal) => unknown = (message) => void got.push(message),
      change: Partial<Options> = {},
    ) => consumer({ ...options, ...change }, handle)
    const values = () => got.map(({ value }) => String(value))
    const [closing] = [
      async () => {
        await Promise.all([good.close(), bare.close()])
        kafka.close()
      },
    ]
    /** What stands in the dead letters, read as they are. */
    const deadLetters = async (count: number): Promise<readonly { value: string; said: Record<string, string> }[]> => {
      const found: { value: string; said: Record<string, string> }[] = []
      const native = await kafka.openConsumer({
        group: `${topic}-dead`,
        topics: [dead],
        from: 'earliest',
        receive: async ({ value, headers }) => {
          found.push({ value: String(value), said: Object.fromEntries(headers.map(([name, one]) => [name, String(one)])) })
        },
        failed: () => undefined,
      })
      await expect.poll(() => found.length, { timeout: 15_000 }).toBe(count)
      await native.close()
      return found
    }
    return { topic, dead, kafka, events, good, bare, got, values, consume, deadLetters, [Symbol.asyncDispose]: closing }
  }

  it('is held up by no message that leaves no room for the reason', async () => {
    await using stage = await setUp({ deadBytes: 2_000 })
    const { topic, good, bare, values, consume, deadLetters } = stage
    await bare.send({ topic, key: 'k', value: 'x'.repeat(5_000), headers: { trace: 'y' } })
    await good.send({ topic, value: 'next' })
    await using receiving = await consume()
    await expect.poll(values, { timeout: 15_000 }).toEqual(['next'])
    await receiving.close()
    const [letter] = await deadLetters(1)
    expect(letter).toMatchObject({
      value: '',
      said: {
        'portcullis-dead-letter-reason': 'no-identity',
        'portcullis-dead-letter-offset': '0',
        'portcullis-dead-letter-omitted': 'key, value, headers',
      },
    })
    expect(letter?.said).not.toHaveProperty('trace')
  })

  it('hands on what is proven, and stores the rest as dead letters with its bytes and the reason', async () => {
    await using stage = await setUp()
    const { topic, good, bare, values, consume, deadLetters, kafka } = stage
    const mallory = await producer({
      client: kafka,
      identity: signer(at.origin, generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
    })
    await good.send({ topic, key: 'k', value: 'first', headers: { tenant: 'acme', trace: 'é' } })
    await bare.send({ topic, value: 'unsigned' })
    await mallory.send({ topic, value: 'forged' })
    await raw(stage.kafka, topic, 'twice', [
      ['portcullis-identity', 'a.b.c'],
      ['Portcullis-Identity', 'a.b.c'],
    ])
    await raw(stage.kafka, topic, 'lied', [['portcullis-dead-letter-code', 'MINE']])
    await good.send([
      { topic, value: 'second' },
      { topic, value: null, key: 'k' },
    ])
    await using receiving = await consume()
    await expect.poll(values, { timeout: 15_000 }).toEqual(['first', 'second', 'undefined'])
    await receiving.close()
    const letters = await deadLetters(4)
    expect(letters).toMatchObject([
      {
        value: 'unsigned',
        said: {
          'portcullis-dead-letter-reason': 'no-identity',
          'portcullis-dead-letter-topic': topic,
          'portcullis-dead-letter-offset': '1',
        },
      },
      {
        value: 'forged',
        said: { 'portcullis-dead-letter-reason': 'identity-refused', 'portcullis-dead-letter-code': 'ERR_JWT_SIGNATURE_INVALID' },
      },
      { value: 'twice', said: { 'portcullis-dead-letter-reason': 'malformed' } },
      { value: 'lied', said: { 'portcullis-dead-letter-reason': 'no-identity', 'portcullis-dead-letter-code': 'ERR_CREDENTIAL_MISSING' } },
    ])
    await mallory.close()
  }, 40_000)

  it('refuses what was signed and then moved, changed or repeated', async () => {
    await using stage = await setUp()
    const { topic, good, consume, values, kafka, deadLetters, dead } = stage
    const seen: KafkaMessage[] = []
    await at.topics([`${topic}-source`])
    await good.send({ topic: `${topic}-source`, key: 'k', value: 'x', headers: { tenant: 'acme' } })
    await good.send({ topic, key: 'k', value: 'sound', headers: { tenant: 'acme' } })
    for (const source of [`${topic}-source`, topic]) {
      const native = await kafka.openConsumer({
        group: `${topic}-thief`,
        topics: [source],
        from: 'earliest',
        receive: async (m) => void seen.push(m),
        failed: () => undefined,
      })
      await expect.poll(() => seen.some((message) => message.topic === source), { timeout: 15_000 }).toBe(true)
      await native.close()
    }
    const [moved, sound] = seen
    if (moved === undefined || sound === undefined) throw new Error('nothing stolen')
    await raw(kafka, topic, 'x', moved.headers, moved.key)
    await raw(kafka, topic, 'changed', sound.headers, sound.key)
    await raw(
      kafka,
      topic,
      'sound',
      sound.headers.map(([name, value]) => [name, name === 'tenant' ? 'evil' : value] as const),
      sound.key,
    )
    await raw(kafka, topic, 'sound', sound.headers, Buffer.from('other'))
    await raw(kafka, topic, undefined, sound.headers, sound.key)
    await raw(kafka, topic, 'sound', sound.headers, sound.key)
    await using receiving = await consume()
    const letters = await deadLetters(6)
    await receiving.close()
    expect(letters.map(({ said }) => said['portcullis-dead-letter-code'])).toEqual([
      'ERR_MESSAGE_ADDRESS',
      'ERR_MESSAGE_PAYLOAD',
      'ERR_MESSAGE_HEADERS',
      'ERR_MESSAGE_KEY',
      'ERR_MESSAGE_ADDRESS',
      'ERR_MESSAGE_REPLAYED',
    ])
    expect(values()).toEqual(['sound'])
    expect(dead).toBe(`${topic}-dead`)
  }, 40_000)

  it('judges the time of signing at the time of the log, where the broker stamps it', async () => {
    // A moment ago is too long ago by the consumer's clock, and was not when the broker took the message.
    const authenticate = signatures({ maxAgeMs: 1 })
    await using stamped = await setUp({ authenticate })
    await stamped.good.send({ topic: stamped.topic, value: 'x' })
    await using unstamped = await setUp({ authenticate, time: 'CreateTime' })
    await unstamped.good.send({ topic: unstamped.topic, value: 'x' })
    await wait(20)
    await using first = await stamped.consume()
    await using second = await unstamped.consume()
    await expect.poll(stamped.values, { timeout: 15_000 }).toEqual(['x'])
    expect(await unstamped.deadLetters(1)).toMatchObject([{ said: { 'portcullis-dead-letter-code': 'ERR_MESSAGE_UNTIMELY' } }])
    await Promise.all([first.close(), second.close()])
    expect(stamped.got[0]?.appendedAt).toBeInstanceOf(Date)
    expect(unstamped.values()).toEqual([])
  }, 40_000)

  it('tells on whose behalf a producer acts, by a token that is verified on its own', async () => {
    const callers = authenticator('caller', ({ credentials }) => {
      const token = credentialOf(credentials, 'bearer')?.token.reveal()
      if (token === undefined) return notMine
      return token === 'token-of-carol' ? vouchForPrincipal({ issuer: 'urn:sts', subject: 'carol' }) : refused('ERR_MINE')
    })
    const carol = vouchForPrincipal({ issuer: 'urn:sts', subject: 'carol' })
    await using stage = await setUp()
    const { topic, kafka, good, deadLetters } = stage
    const caller: DelegatedSource = ({ onBehalfOf }) => ({
      credential: { kind: 'bearer', carrier: 'caller', token: secret(`token-of-${onBehalfOf.subject}`) },
    })
    await using acting = await producer({ client: kafka, identity: signer(at.origin), caller })
    await acting.send({ topic, value: 'for carol', onBehalfOf: carol })
    await acting.send({ topic, value: 'for mallory', onBehalfOf: vouchForPrincipal({ issuer: 'urn:sts', subject: 'mallory' }) })
    await good.send({ topic, value: 'for nobody' })
    await expect(good.send({ topic, value: 'x', onBehalfOf: carol })).rejects.toMatchObject({ code: 'ERR_CALLER_MISSING' })
    const both = guard({ authenticate: allOf(signatures(), callers), authorize: scope('orders:publish') })
    const got: string[] = []
    await using receiving = await stage.consume(
      ({ value }, { subject, factors }) => void got.push(`${subject} for ${factors[0]?.subject}: ${String(value)}`),
      { guard: both },
    )
    const letters = await deadLetters(2)
    await receiving.close()
    expect(got).toEqual(['urn:shop for carol: for carol'])
    expect(letters.map(({ value, said }) => [value, said['portcullis-dead-letter-code']])).toEqual([
      ['for mallory', 'ERR_MINE'],
      ['for nobody', 'ERR_CREDENTIAL_MISSING'],
    ])
  }, 40_000)

  it('waits while nothing can be judged, and dead-letters nothing meanwhile', async () => {
    let down = true
    const inner = signatures()
    const authenticate = authenticator('x', (request, context) => {
      if (down) throw new UnavailableError('ERR_KEYS', 'out of reach')
      return inner.authenticate(request, context)
    })
    await using stage = await setUp({ authenticate })
    const { topic, good, consume, values, events } = stage
    await good.send([
      { topic, value: 'a' },
      { topic, value: 'b' },
    ])
    await using receiving = await consume()
    await expect
      .poll(() => events.some((event) => event.type === 'warning' && event.code === 'ERR_KAFKA_WAITING'), { timeout: 15_000 })
      .toBe(true)
    expect(values()).toEqual([])
    down = false
    await expect.poll(values, { timeout: 15_000 }).toEqual(['a', 'b'])
    await receiving.close()
    expect(events.filter(({ type }) => type === 'messageRefused')).toEqual([])
  }, 40_000)

  it('hands a message over again when the handler throws, and to the next consumer when it never came to its end', async () => {
    await using stage = await setUp()
    const { topic, good, consume, events } = stage
    await good.send([
      { topic, value: 'a' },
      { topic, value: 'b' },
    ])
    const tried: string[] = []
    const first = await consume(({ value }) => {
      tried.push(String(value))
      if (String(value) === 'b' || tried.length < 3) throw new Error('not yet')
    })
    await expect.poll(() => tried.includes('b'), { timeout: 15_000 }).toBe(true)
    await first.close()
    expect(tried.slice(0, 4)).toEqual(['a', 'a', 'a', 'b'])
    expect(events.some((event) => event.type === 'warning' && event.code === 'ERR_KAFKA_HANDLER')).toBe(true)
    await using second = await consume()
    await expect.poll(stage.values, { timeout: 15_000 }).toEqual(['b'])
    await second.close()
  }, 40_000)

  it('does not begin again what it has acknowledged', async () => {
    await using stage = await setUp()
    const { topic, good, consume, values } = stage
    await good.send({ topic, value: 'a' })
    const first = await consume()
    await expect.poll(values, { timeout: 15_000 }).toEqual(['a'])
    await first.close()
    await first.ended
    await good.send({ topic, value: 'b' })
    await using second = await consume()
    await expect.poll(values, { timeout: 15_000 }).toEqual(['a', 'b'])
    await second.close()
  }, 40_000)

  it('shares partitions with others of its group, and drops refused ones only if told so', async () => {
    await using stage = await setUp({ partitions: 4 })
    const { topic, good, bare, values, consume, events } = stage
    await using first = await consume(undefined, { deadLetter: dropRefused })
    await using second = await consume(undefined, { deadLetter: dropRefused })
    await bare.send({ topic, value: 'nobody' })
    const sent = Array.from({ length: 40 }, (_one, n) => `m${n}`)
    await good.send(sent.map((value): MessageToSend => ({ topic, key: value, value })))
    await expect.poll(() => [...new Set(values())].toSorted(), { timeout: 20_000 }).toEqual(sent.toSorted())
    // Once or, if the group was sharing out its partitions just then, once more.
    await expect.poll(() => events.filter(({ type }) => type === 'messageRefused').length).toBeGreaterThan(0)
    await Promise.all([first.close(), second.close()])
  }, 40_000)

  it('is not opened without a guard, with misspelt options, or with its dead letters among its topics', async () => {
    await using stage = await setUp()
    const { topic, consume } = stage
    for (const [change, code] of [
      [{ guard: undefined }, 'ERR_GUARD_MISSING'],
      [{ topics: [] }, 'ERR_OPTION_INVALID'],
      [{ group: '' }, 'ERR_OPTION_INVALID'],
      [{ deadLetter: undefined }, 'ERR_OPTION_MISSING'],
      [{ deadLetter: topic }, 'ERR_OPTION_INVALID'],
      [{ deadLetters: 'x' }, 'ERR_OPTION_UNKNOWN'],
      [{ from: 'begin' }, 'ERR_OPTION_INVALID'],
    ] as const)
      await expect(consume(undefined, change as never)).rejects.toMatchObject({ code })
    await expect(stage.good.send({ topic, value: 'x', headers: { 'Portcullis-Identity': 'x' } })).rejects.toMatchObject({
      code: 'ERR_KAFKA_MESSAGE',
    })
  })
})

/** Sends what no producer of ours would. */
async function raw(
  kafka: Options['client'],
  topic: string,
  value: string | undefined,
  headers: readonly (readonly [string, string | Buffer])[],
  key?: Buffer,
): Promise<void> {
  const native = await kafka.openProducer()
  await native.send([
    {
      topic,
      key,
      value: value === undefined ? undefined : Buffer.from(value),
      headers: headers.map(([name, one]) => [name, Buffer.from(one)] as const),
    },
  ])
  await native.close()
}
