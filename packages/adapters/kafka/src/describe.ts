import { messageBinding, messageCredentials, type AccessRequest } from '@portcullis/core'
import { addressOf, payloadOf, signedForm, type KafkaMessage } from './record.ts'

/** A message, in no protocol's words. `secure` is a fact of the connection to the broker. */
export function describe(message: KafkaMessage, secure: boolean): AccessRequest {
  const { topic, partition, offset, key, value, headers, appendedAt } = message
  return {
    credentials: messageCredentials(headers),
    action: 'consume',
    resource: topic,
    attributes: { partition, offset: String(offset) },
    channel: { from: 'relay', protocol: 'kafka', secure },
    binding: messageBinding({
      address: addressOf(topic, value),
      payload: payloadOf(value),
      ...(key !== undefined && { key }),
      headers: signedForm(headers),
      position: `${topic}/${partition}/${offset}`,
      ...(appendedAt !== undefined && { appendedAtMs: appendedAt.getTime() }),
    }),
  }
}
