import { messageBinding, messageCredentials, type AccessRequest } from '@portcullis/core'
import { addressOf, signedForm, type NatsMessage } from './message.ts'

/** A message, in no protocol's words. `resource` is what was subscribed to: the stream, or the subject with its wildcards. */
export function describe(message: NatsMessage, resource: string): AccessRequest {
  const { subject, content, id, headers, reply, stored } = message
  return {
    credentials: messageCredentials(all(headers)),
    action: 'consume',
    resource,
    attributes: { subject },
    channel: { from: 'relay', protocol: 'nats', secure: true },
    binding: messageBinding({
      address: addressOf(subject),
      payload: content,
      headers: signedForm(firsts(headers), reply),
      ...(id !== undefined && { id }),
      ...(stored !== undefined && {
        position: `${stored.stream}/${stored.sequence}`,
        appendedAtMs: stored.at.getTime(),
      }),
    }),
  }
}

function* firsts(headers: NatsMessage['headers']): Generator<readonly [string, string]> {
  for (const [name, [value]] of headers) if (value !== undefined) yield [name, value]
}

function* all(headers: NatsMessage['headers']): Generator<readonly [string, string]> {
  for (const [name, values] of headers) for (const value of values) yield [name, value]
}
