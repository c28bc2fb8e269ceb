import { deadLetterHeaderPrefix, deadLetterHeaders, type DeadLetter } from '@portcullis/core'
import type { KafkaMessage, OutgoingRecord } from './record.ts'

/**
 * The message as dead letter: key, value and headers with their original bytes, and behind them why, when, and where it
 * stood. Headers of these names that came with the message are dropped, since somebody else wrote them.
 */
export function deadLetterOf(message: KafkaMessage, letter: DeadLetter, topic: string): OutgoingRecord {
  const stood = { topic: message.topic, partition: String(message.partition), offset: String(message.offset) }
  return {
    topic,
    key: message.key,
    value: message.value,
    headers: [
      ...message.headers.filter(([name]) => !name.toLowerCase().startsWith(deadLetterHeaderPrefix)),
      ...deadLetterHeaders(letter, stood).map(([name, value]) => [name, Buffer.from(value)] as const),
    ],
  }
}

/**
 * The same without what the message brought, for a topic that has no room for it beside the reason: says so, and where the
 * message stands. Whoever sends as much as a broker takes would else stop a consumer for good.
 */
export function withoutContent(message: KafkaMessage, letter: DeadLetter, topic: string): OutgoingRecord {
  const { headers, ...rest } = deadLetterOf({ ...message, key: undefined, value: Buffer.alloc(0), headers: [] }, letter, topic)
  return { ...rest, headers: [...headers, [`${deadLetterHeaderPrefix}omitted`, Buffer.from('key, value, headers')]] }
}
