import {
  maxAuthorizationLength,
  messageBinding,
  messageCallerHeader,
  messageIdentityHeader,
  secret,
  type AccessRequest,
  type Credential,
} from '@portcullis/core'
import { addressOf, signedForm, type RabbitmqMessage } from './message.ts'

/** A message of a queue, in no protocol's words. */
export function describe(message: RabbitmqMessage, queue: string): AccessRequest {
  const { exchange, routingKey, content, id, headers, redelivered, native } = message
  return {
    credentials: credentialsOf(headers),
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

/** The identity, and the caller's token, each from its header. */
function credentialsOf(headers: RabbitmqMessage['headers']): readonly Credential[] {
  const credentials: Credential[] = []
  for (const [name, value] of headers) {
    const form = forms.get(name.toLowerCase())
    if (form !== undefined) credentials.push(form(`header:${name.toLowerCase()}`, value))
  }
  return credentials
}

const forms: ReadonlyMap<string, (carrier: string, value: string) => Credential> = new Map([
  [
    messageIdentityHeader,
    (carrier: string, value: string): Credential => (isText(value) ? { kind: 'envelope', carrier, envelope: value } : malformed(carrier)),
  ],
  [
    messageCallerHeader,
    (carrier: string, value: string): Credential =>
      isText(value) ? { kind: 'bearer', carrier, token: secret(value) } : malformed(carrier),
  ],
])

function isText(value: string): boolean {
  return value.length > 0 && value.length <= maxAuthorizationLength && /^[\x21-\x7e]+$/.test(value)
}

function malformed(carrier: string): Credential {
  return { kind: 'malformed', carrier, why: 'it is empty, too long, or holds characters that no token has' }
}
