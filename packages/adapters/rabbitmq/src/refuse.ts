import type { DeadLetter, Reason } from '@portcullis/core'
import type { Options } from 'amqplib'
import type { RabbitmqMessage } from './message.ts'

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
 * The properties of the dead letter of a message: those that it came with, and behind its headers why, when, and by
 * which exchange and routing key. Headers of these names that came with the message are dropped, since somebody else
 * wrote them; so are its expiry and the user that the broker once checked.
 */
export function deadLetterOf({ exchange, routingKey, native }: RabbitmqMessage, queue: string, letter: DeadLetter): Options.Publish {
  const { headers, contentType, contentEncoding, correlationId, replyTo, messageId, timestamp, type, appId } = native.properties
  const kept = Object.entries(headers ?? {}).filter(([name]) => !name.toLowerCase().startsWith(prefix))
  const said = {
    reason: deadLetterReasons[letter.reason],
    code: letter.code,
    at: letter.at.toISOString(),
    queue,
    exchange,
    'routing-key': routingKey,
  }
  const added = Object.entries(said).map(([name, value]) => [`${prefix}${name}`, value] as const)
  const own = { contentType, contentEncoding, correlationId, replyTo, messageId, timestamp, type, appId }
  return {
    ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)),
    headers: Object.fromEntries([...kept, ...added]),
    persistent: true,
    mandatory: true,
  }
}
