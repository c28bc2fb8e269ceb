import {
  checkOptions,
  ConfigurationError,
  messageBinding,
  messageSealer,
  requireFunction,
  requireText,
  UnavailableError,
  type BoundSource,
  type DelegatedSource,
  type Principal,
} from '@portcullis/core'
import { attempts } from './attempts.ts'
import { withoutIdentity } from './danger.ts'
import { kafkaErrorCodes, type KafkaErrorCode } from './errors.ts'
import { addressOf, payloadOf, signedForm, type KafkaMessage, type OutgoingRecord } from './record.ts'

/**
 * The way to a cluster, through one of the libraries: made by `client` of `@portcullis/kafka/platformatic` or
 * `@portcullis/kafka/kafkajs`. It holds no connection; producers and consumers open their own.
 */
export interface KafkaClient {
  /** The cluster's name as target of sources: `kafka://` and the first broker that was named. */
  readonly origin: string
  /** Whether its connections are encrypted and its brokers proven. */
  readonly secure: boolean
  /** @internal */
  openProducer(): Promise<NativeProducer>
  /** @internal */
  openConsumer(options: NativeConsumerOptions): Promise<NativeConsumer>
  /** Gives up the bundle, if the client made it. Producers and consumers are closed before. */
  close(): void
}

/** A library's producer. */
export interface NativeProducer {
  /** Resolves once all in-sync replicas have them. */
  send(records: readonly OutgoingRecord[]): Promise<void>
  close(): Promise<void>
}

/** What a library's consumer is opened with. */
export interface NativeConsumerOptions {
  readonly group: string
  readonly topics: readonly string[]
  readonly from: 'earliest' | 'latest'
  /** Takes one message of a partition after the other. It is acknowledged once this resolves; never if it rejects. */
  readonly receive: (message: KafkaMessage) => Promise<void>
  /** The consumer came to an end that nobody asked for. Called once. */
  readonly failed: (error: unknown) => void
}

/** A library's consumer. */
export interface NativeConsumer {
  /** Acknowledges what was taken, and leaves the group. */
  close(): Promise<void>
}

/** What {@link producer} takes. */
export interface ProducerOptions {
  readonly client: KafkaClient
  /** Signs each message, so that its consumers know who produced it. `withoutIdentity` of `/danger` leaves messages unsigned. */
  readonly identity: BoundSource | typeof withoutIdentity
  /** Yields the token of the user for whom a message is sent (`onBehalfOf`); meant for the consumers as audience, and verified by them on its own. */
  readonly caller?: DelegatedSource
  /** How often a message is tried again while no broker answers, with a growing delay. Default: 8, about a minute. */
  readonly maxAttempts?: number
}

/** A message to send. */
export interface MessageToSend {
  readonly topic: string
  readonly key?: string | Uint8Array
  /** `null` is a tombstone. */
  readonly value: string | Uint8Array | null
  readonly headers?: Readonly<Record<string, string | Uint8Array>>
  /** Default: by key, as the library does. */
  readonly partition?: number
  /** The principal on whose behalf the producer acts; needs the option `caller`. */
  readonly onBehalfOf?: Principal
}

/** Sends messages that say who sent them. */
export interface KafkaProducer {
  /**
   * Signs and sends; resolves when the cluster has stored them. Each is signed once, so that a repetition after a lost
   * answer is recognized by consumers as the same message. Rejects with `ERR_KAFKA_FORBIDDEN`, `ERR_KAFKA_TOPIC` or
   * `ERR_KAFKA_MESSAGE` at once, with `ERR_KAFKA_UNAVAILABLE` after the last attempt (it may have been stored
   * nevertheless), and with what the sources throw before anything was sent.
   */
  send(messages: MessageToSend | readonly MessageToSend[]): Promise<void>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

// About a minute, with the delays of `attempts`.
const defaultAttempts = 8

/**
 * Connects a producer. Rejects as `client` of the sub-path says, at once for refusals, and after some attempts if no
 * broker answers.
 */
export async function producer(options: ProducerOptions): Promise<KafkaProducer> {
  checkOptions<ProducerOptions>('producer', options, { client: true, identity: true, caller: true, maxAttempts: true })
  const { client, identity, caller, maxAttempts = defaultAttempts } = options
  const sign = identity === withoutIdentity ? undefined : requireFunction<BoundSource>('producer: identity', identity)
  const trying = attempts('producer', maxAttempts)
  const seal = messageSealer({
    where: 'producer',
    target: { origin: client.origin, secure: client.secure, shared: true },
    sign,
    caller,
    withoutForm: (message) => new ConfigurationError<KafkaErrorCode>('ERR_KAFKA_CREDENTIAL', message),
  })

  const recordOf = async (message: MessageToSend): Promise<OutgoingRecord> => {
    const { topic, key, value, headers, partition, onBehalfOf } = checkMessage(message)
    const plain: OutgoingRecord = {
      topic,
      ...(partition !== undefined && { partition }),
      key: key === undefined ? undefined : Buffer.from(key),
      value: value === null ? undefined : Buffer.from(value),
      headers: Object.entries(headers ?? {}).map(asBytes),
    }
    const sealed = await seal(onBehalfOf, (token) =>
      messageBinding({
        address: addressOf(topic, plain.value),
        payload: payloadOf(plain.value),
        ...(plain.key !== undefined && { key: plain.key }),
        headers: signedForm([...plain.headers, ...token.map(asBytes)]),
      }),
    )
    return { ...plain, headers: [...plain.headers, ...sealed.map(asBytes)] }
  }

  const native = await trying(() => client.openProducer())
  let closing: Promise<void> | undefined
  const close = (): Promise<void> => (closing ??= native.close())
  return {
    async send(messages) {
      if (closing !== undefined) throw new UnavailableError<KafkaErrorCode>('ERR_KAFKA_CLOSED', 'The producer was closed.')
      const list: readonly MessageToSend[] = isList(messages) ? messages : [messages]
      const records = await Promise.all(list.map(recordOf))
      if (records.length > 0) await trying(() => native.send(records))
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function checkMessage(message: MessageToSend): MessageToSend {
  checkOptions<MessageToSend>('A message', message, {
    topic: true,
    key: true,
    value: true,
    headers: true,
    partition: true,
    onBehalfOf: true,
  })
  requireText('The topic of a message', message.topic)
  for (const name of Object.keys(message.headers ?? {}))
    if (name.toLowerCase().startsWith('portcullis-'))
      throw new ConfigurationError<KafkaErrorCode>(
        'ERR_KAFKA_MESSAGE',
        `The header "${name}" is reserved. ${kafkaErrorCodes.ERR_KAFKA_MESSAGE}`,
      )
  return message
}

function asBytes([name, text]: readonly [name: string, text: string | Uint8Array]): readonly [name: string, value: Buffer] {
  return [name, Buffer.from(text)]
}

function isList(messages: MessageToSend | readonly MessageToSend[]): messages is readonly MessageToSend[] {
  return Array.isArray(messages)
}
