import { deadLetterHeaderPrefix, deadLetterHeaders, type DeadLetter } from '@portcullis/core'
import type { Options } from 'amqplib'
import type { RabbitmqMessage } from './message.ts'

/**
 * The properties of the dead letter of a message: those that it came with, and behind its headers why, when, and by
 * which exchange and routing key. Headers of these names that came with the message are dropped, since somebody else
 * wrote them; so are its expiry and the user that the broker once checked.
 */
export function deadLetterOf({ exchange, routingKey, native }: RabbitmqMessage, queue: string, letter: DeadLetter): Options.Publish {
  const { headers, contentType, contentEncoding, correlationId, replyTo, messageId, timestamp, type, appId } = native.properties
  const kept = Object.entries(headers ?? {}).filter(([name]) => !name.toLowerCase().startsWith(deadLetterHeaderPrefix))
  const added = deadLetterHeaders(letter, { queue, exchange, 'routing-key': routingKey })
  const own = { contentType, contentEncoding, correlationId, replyTo, messageId, timestamp, type, appId }
  return {
    ...Object.fromEntries(Object.entries(own).filter(([, value]) => value !== undefined)),
    headers: Object.fromEntries([...kept, ...added]),
    persistent: true,
    mandatory: true,
  }
}
