/** A message as a consumer of Kafka gets it. Names and values of headers come from the producer; only the signature says whether it meant them. */
export interface KafkaMessage {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | undefined
  /** `undefined` is a tombstone: the key's deletion in a compacted topic. */
  readonly value: Buffer | undefined
  /** In the order of the message; a name may come twice, and such a message is refused. */
  readonly headers: readonly (readonly [name: string, value: Buffer])[]
  /** When the broker took it, where the topic says so (`message.timestamp.type=LogAppendTime`). */
  readonly appendedAt: Date | undefined
}

/** What a library's producer stores. */
export interface OutgoingRecord {
  readonly topic: string
  readonly partition?: number
  readonly key: Buffer | undefined
  readonly value: Buffer | undefined
  readonly headers: readonly (readonly [name: string, value: Buffer])[]
}

/**
 * The address that a signature covers. A tombstone has an address of its own, so that nobody makes one of an empty
 * payload; no topic has a `#` in its name.
 */
export function addressOf(topic: string, value: Buffer | undefined): string {
  return value === undefined ? `kafka:${topic}#tombstone` : `kafka:${topic}`
}

/** Headers as a signature covers them: one character for each byte, so that no two values read alike. */
export function* signedForm(headers: OutgoingRecord['headers']): Generator<readonly [string, string]> {
  for (const [name, value] of headers) yield [name, value.toString('latin1')]
}

/** The payload that is digested. */
export function payloadOf(value: Buffer | undefined): Buffer {
  return value ?? nothing
}

const nothing = Buffer.alloc(0)
