import { Kafka, logLevel, type Batch, type ConsumerCrashEvent, type KafkaMessage as NativeMessage } from 'kafkajs'
import { setTimeout as wait } from 'node:timers/promises'
import type { KafkaClient, NativeConsumer, NativeConsumerOptions, NativeProducer } from '../client.ts'
import { clientSettings, groupTimes, maxCloseMs, type ClientOptions, type ClientSettings } from '../client-options.ts'
import type { KafkaMessage, OutgoingRecord } from '../record.ts'
import { saslOf, sessionOptions } from './sasl.ts'
import { plainSockets, ssl } from './ssl.ts'

/**
 * The way to a cluster by kafkajs, for `producer` and `consumer`. Reads the key pairs of `tls` at once; connects when a
 * producer or consumer is opened. The library's own log is off, since every failure is told by codes.
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

// Told that sessions are long, the library's own threshold of ten seconds does.
const usualSessionMs = 60_000

function open({ brokers, clientId, connectTimeoutMs, bundle, sasl, serverName, sessionMs = usualSessionMs }: ClientSettings) {
  const secured = bundle && ssl(bundle, serverName === undefined ? {} : { serverName })
  const session = sessionOptions(sessionMs)
  const kafka = new Kafka({
    brokers: [...brokers],
    clientId,
    connectionTimeout: connectTimeoutMs,
    logLevel: logLevel.NOTHING,
    // One more attempt after a connection was lost; outages that last are waited for by this package.
    retry: { retries: 1, initialRetryTime: 200, maxRetryTime: 1_000, restartOnFailure: async () => false },
    ...(secured ?? { socketFactory: plainSockets }),
    ...(secured && sasl && { sasl: saslOf(sasl, secured) }),
    ...session.kafka,
  })
  return { kafka, session }
}

async function openProducer(settings: ClientSettings): Promise<NativeProducer> {
  const producer = open(settings).kafka.producer({ allowAutoTopicCreation: false, retry: { retries: 1, initialRetryTime: 200 } })
  try {
    await producer.connect()
  } catch (error) {
    await producer.disconnect().catch(() => undefined)
    throw error
  }
  return {
    async send(records) {
      const byTopic = Map.groupBy(records, ({ topic }) => topic)
      // -1: all in-sync replicas.
      await producer.sendBatch({ acks: -1, topicMessages: [...byTopic].map(([topic, list]) => ({ topic, messages: list.map(nativeOf) })) })
    },
    close: () => producer.disconnect(),
  }
}

async function openConsumer(settings: ClientSettings, options: NativeConsumerOptions): Promise<NativeConsumer> {
  const { group, topics, from, receive, failed } = options
  const { kafka, session } = open(settings)
  const consumer = kafka.consumer({
    groupId: group,
    sessionTimeout: groupTimes.session,
    heartbeatInterval: groupTimes.beat,
    rebalanceTimeout: groupTimes.rebalance,
    allowAutoTopicCreation: false,
    ...session.consumer,
  })
  let state: 'opening' | 'open' | 'over' = 'opening'
  let early: { readonly cause: unknown } | undefined
  let receiving: Promise<void> | undefined
  // The library disconnects by itself before it tells.
  consumer.on(consumer.events.CRASH, ({ payload: { error } }: ConsumerCrashEvent) => {
    if (state === 'opening') early ??= { cause: error }
    if (state !== 'open') return
    state = 'over'
    failed(error)
  })
  try {
    await consumer.connect()
    await consumer.subscribe({ topics: [...topics], fromBeginning: from === 'earliest' })
    await consumer.run({
      autoCommitInterval: acknowledgeAfterMs,
      autoCommitThreshold: acknowledgeEvery,
      eachBatchAutoResolve: false,
      async eachBatch(run) {
        const { batch } = run
        // A message may wait long, to be judged or for its handler; the group must not take it for dead meanwhile.
        const beat = setInterval(() => void run.heartbeat().catch(() => undefined), groupTimes.beat)
        try {
          for (const message of batch.messages) {
            if (state === 'over' || !run.isRunning() || run.isStale()) return
            receiving = receive(messageOf(batch, message))
            await receiving
            run.resolveOffset(message.offset)
            await run.heartbeat()
            await run.commitOffsetsIfNecessary()
          }
        } finally {
          clearInterval(beat)
        }
      },
    })
    if (early !== undefined) throw early.cause
    state = 'open'
  } catch (error) {
    state = 'over'
    await consumer.disconnect().catch(() => undefined)
    throw error
  }
  return {
    async close() {
      state = 'over'
      await Promise.race([receiving?.catch(() => undefined), wait(maxCloseMs, undefined, { ref: false })])
      await consumer.disconnect()
    },
  }
}

// What lies between comes again after a crash.
const acknowledgeEvery = 500
const acknowledgeAfterMs = 500

function nativeOf({ partition, key, value, headers }: OutgoingRecord) {
  return {
    ...(partition !== undefined && { partition }),
    key: key ?? null,
    value: value ?? null,
    headers: Object.fromEntries(headers.map(([name, one]) => [name, one] as const)),
  }
}

function messageOf({ topic, partition }: Batch, { offset, key, value, headers, timestamp, ...rest }: NativeMessage): KafkaMessage {
  return {
    topic,
    partition,
    offset: BigInt(offset),
    key: key ?? undefined,
    value: value ?? undefined,
    headers: Object.entries(headers ?? {}).flatMap(([name, values]) =>
      (Array.isArray(values) ? values : [values]).map((one) => [name, Buffer.from(one ?? '')] as const),
    ),
    appendedAt: isAppendTime(rest) ? new Date(Number(timestamp)) : undefined,
  }
}

/** The library's types leave out what it hands on of a message's batch; 1 is `LogAppendTime`. */
function isAppendTime(rest: object): boolean {
  const { batchContext } = rest as { readonly batchContext?: { readonly timestampType?: unknown } }
  return batchContext?.timestampType === 1
}
