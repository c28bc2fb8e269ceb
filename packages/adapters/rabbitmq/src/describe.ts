import { messageBinding, messageCredentials, type AccessRequest } from '@portcullis/core'
import { addressOf, signedForm, type RabbitmqMessage } from './message.ts'

/** A message of a queue, in no protocol's words. */
export function describe(message: RabbitmqMessage, queue: string): AccessRequest {
  const { exchange, routingKey, content, id, headers, redelivered, native } = message
  return {
    credentials: messageCredentials(headers),
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
