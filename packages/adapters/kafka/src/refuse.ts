import type { DeadLetter, Reason } from '@portcullis/core'
import type { KafkaMessage, OutgoingRecord } from './record.ts'

const prefix = 'portcullis-dead-letter-'

/** What a dead letter says of why it is one. Whoever looks at the dead letters reads it, so it may be plain. */
export const deadLetterReasons = {
  missing: 'no-identity',
  malformed: 'malformed',
  invalid: 'identity-refused',
  stepUp: 'step-up',
  insufficientScope: 'scope-missing',
  forbidden: 'forbidden',
  // These are not dead-lettered: what cannot be judged waits.
  outage: 'unavailable',
  overload: 'unavailable',
  internal: 'unavailable',
} as const satisfies Record<Reason, string>

/**
 * The message as dead letter: key, value and headers with their original bytes, and behind them why, when, and where it
 * stood. Headers of these names that came with the message are dropped, since somebody else wrote them.
 */
export function deadLetterOf(message: KafkaMessage, letter: DeadLetter, topic: string): OutgoingRecord {
  const said: Readonly<Record<string, string>> = {
    reason: deadLetterReasons[letter.reason],
    code: letter.code,
    at: letter.at.toISOString(),
    topic: message.topic,
    partition: String(message.partition),
    offset: String(message.offset),
  }
  return {
    topic,
    key: message.key,
    value: message.value,
    headers: [
      ...message.headers.filter(([name]) => !name.toLowerCase().startsWith(prefix)),
      ...Object.entries(said).map(([name, value]) => [`${prefix}${name}`, Buffer.from(value)] as const),
    ],
  }
}
