import { messageBinding, messageCredentials, type AccessRequest, type Credential } from '@portcullis/core'
import { addressOf, signedForm, type RabbitmqMessage } from './message.ts'
import { isUnreadable } from './unreadable.ts'

/** A message of a queue, in no protocol's words. */
export function describe(message: RabbitmqMessage, queue: string): AccessRequest {
  const { exchange, routingKey, content, id, headers, redelivered, native } = message
  return {
    // Whatever stood in them, it was not nothing.
    credentials: isUnreadable(native) ? [unread] : messageCredentials(headers),
    action: 'consume',
    resource: queue,
    attributes: { exchange, routingKey },
    channel: { from: 'relay', protocol: 'amqp', secure: true },
    binding: messageBinding({
      address: addressOf(exchange, routingKey),
      payload: content,
      headers: signedForm(headers, native.properties),
      redelivered,
      ...(id !== undefined && { id }),
    }),
  }
}

const unread: Credential = { kind: 'malformed', carrier: 'headers', why: 'the headers cannot be read' }
