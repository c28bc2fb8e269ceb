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
