import { findErrorBy, Producer, type Base, type BaseOptions, type Message } from '@platformatic/kafka'
import { setTimeout as wait } from 'node:timers/promises'
import type { KafkaClient, NativeConsumer, NativeConsumerOptions, NativeProducer } from '../client.ts'
import { clientSettings, groupTimes, maxCloseMs, type ClientOptions, type ClientSettings } from '../client-options.ts'
import { codedAs, diagnose } from '../diagnose.ts'
import type { KafkaMessage } from '../record.ts'
import { Acknowledgements } from './acknowledgements.ts'
import { saslOf } from './sasl.ts'
import { cutUntrusted, ssl } from './ssl.ts'
import { appendedAtOf, TimedConsumer } from './timed-consumer.ts'

/**
 * The way to a cluster by `@platformatic/kafka`, for `producer` and `consumer`. Reads the key pairs of `tls` at once; connects
 * when a producer or consumer is opened.
 */
export async function client(options: ClientOptions): Promise<KafkaClient> {
  const settings = await clientSettings(options)
  return {
    origin: settings.origin,
    secure: settings.bundle !== undefined,
    openProducer: () => openProducer(settings),
    openConsumer: (consuming) => openConsumer(settings, consuming),
    close: settings.close,
  }
}

// What a fetch may wait for, as in Java's client: short of any session, so that a renewal never stands behind one for long.
const maxWaitMs = 500

function baseOptions({ brokers, clientId, connectTimeoutMs, bundle, sasl, serverName }: ClientSettings): BaseOptions {
  const byAddress = brokers.every((broker) => /^[\d.]+:\d+$|^\[/.test(broker))
  return {
    clientId,
    bootstrapBrokers: [...brokers],
    connectTimeout: connectTimeoutMs,
    // One more attempt after a connection was lost; outages that last are waited for by this package.
    retries: 1,
    retryDelay: 200,
    ...(bundle && ssl(bundle, { byAddress, ...(serverName !== undefined && { serverName }) })),
    ...(sasl && saslOf(sasl)),
  }
}

async function openProducer(settings: ClientSettings): Promise<NativeProducer> {
  // -1: all in-sync replicas.
  const producer = new Producer({ ...baseOptions(settings), acks: -1 })
  if (settings.bundle) cutUntrusted(producer, settings.bundle)
  await connected(producer)
  return {
    async send(records) {
      const sent = producer.send({
        messages: records.map(({ topic, partition, key, value, headers }) => ({
          topic,
          ...(partition !== undefined && { partition }),
          ...(key !== undefined && { key }),
          ...(value !== undefined && { value }),
          headers: new Map(headers.map(([name, one]) => [Buffer.from(name), one])),
        })),
      })
      await sent.catch(namingTopic)
    },
    close: () => producer.close(),
  }
}

async function openConsumer(settings: ClientSettings, options: NativeConsumerOptions): Promise<NativeConsumer> {
  const { group, topics, from, receive, failed } = options
  const consumer = new TimedConsumer({
    ...baseOptions(settings),
    groupId: group,
    sessionTimeout: groupTimes.session,
    heartbeatInterval: groupTimes.beat,
    rebalanceTimeout: groupTimes.rebalance,
    autocommit: false,
    maxWaitTime: maxWaitMs,
  })
  if (settings.bundle) cutUntrusted(consumer, settings.bundle)
  let state: 'opening' | 'open' | 'over' = 'opening'
  let early: { readonly cause: unknown } | undefined
  let receiving: Promise<void> | undefined
  const fail = (cause: unknown): void => {
    if (state === 'opening') early ??= { cause }
    if (state !== 'open') return
    state = 'over'
    void shutDown().catch(() => undefined)
    failed(cause)
  }
  const acknowledgements = new Acknowledgements(
    (offsets) => consumer.commit({ offsets }),
    // An outage is noticed by the reading, too; that a position may not be stored, only here.
    (error) => void (diagnose(error).family !== 'unavailable' && fail(error)),
  )
  // A group that cannot be joined again is told by this event, which the library's types do not list.
  consumer.on('error' as never, fail as never)
  consumer.on('consumer:group:rebalance', () => void acknowledgements.flush())
  consumer.on('consumer:group:join', ({ assignments }) => acknowledgements.keep(assignments ?? []))
  await connected(consumer)
  const stream = await consumer
    .consume({ topics: [...topics], mode: 'committed', fallbackMode: from, autocommit: false, maxWaitTime: maxWaitMs })
    .catch(async (error: unknown) => {
      await consumer.close(true).catch(() => undefined)
      return namingTopic(error)
    })
  let shutting: Promise<void> | undefined
  const shutDown = (): Promise<void> =>
    (shutting ??= (async () => {
      await acknowledgements.flush()
      await stream.close().catch(() => undefined)
      await consumer.close(true)
    })())
  if (early !== undefined) {
    await shutDown().catch(() => undefined)
    throw early.cause
  }
  state = 'open'
  const read = async (): Promise<void> => {
    for await (const message of stream) {
      if (state === 'over') return
      receiving = receive(messageOf(message))
      await receiving
      acknowledgements.note(message)
    }
    fail(new Error('The stream of messages has ended.'))
  }
  read().catch(fail)
  return {
    async close() {
      state = 'over'
      await Promise.race([receiving?.catch(() => undefined), wait(maxCloseMs, undefined, { ref: false })])
      await shutDown()
    },
  }
}

/** Makes a first connection, so that what is wrong with it is told as such. */
async function connected(base: Base): Promise<void> {
  let found: unknown
  // In TLS 1.3 a client certificate is refused after the handshake; who waits for an answer is then told of an end alone.
  base.on('client:broker:connect', ({ connection }) => connection.socket.once('error', (error) => (found = error)))
  try {
    await base.metadata({ topics: [] })
  } catch (error) {
    await base.close().catch(() => undefined)
    if (found !== undefined) throw new AggregateError([found, error], 'The connection was cut.', { cause: error })
    // So the library says that one end speaks TLS and the other does not; nothing else is a "user's" error by now.
    if (isUserError(error)) throw codedAs('ERR_KAFKA_TLS_MISMATCH', error)
    throw error
  }
}

/** So the library says, once it is connected, that a topic does not exist. */
function namingTopic(error: unknown): never {
  throw isUserError(error) ? codedAs('ERR_KAFKA_TOPIC', error) : error
}

function isUserError(error: unknown): boolean {
  for (let one: unknown = error; one instanceof Error; one = one.cause) if (findErrorBy(one, 'code', 'PLT_KFK_USER') !== null) return true
  return error instanceof AggregateError && error.errors.some(isUserError)
}

function messageOf({ topic, partition, offset, key, value, headerEntries, metadata }: Message): KafkaMessage {
  return {
    topic,
    partition,
    offset,
    key,
    value,
    headers: headerEntries.map(([name, one]) => [String(name ?? ''), one ?? Buffer.alloc(0)] as const),
    appendedAt: appendedAtOf(metadata),
  }
}
