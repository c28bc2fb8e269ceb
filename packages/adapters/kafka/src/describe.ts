import {
  maxAuthorizationLength,
  messageBinding,
  messageCallerHeader,
  messageIdentityHeader,
  secret,
  type AccessRequest,
  type Credential,
} from '@portcullis/core'
import { addressOf, payloadOf, signedForm, type KafkaMessage } from './record.ts'

/** A message, in no protocol's words. `secure` is a fact of the connection to the broker. */
export function describe(message: KafkaMessage, secure: boolean): AccessRequest {
  const { topic, partition, offset, key, value, headers, appendedAt } = message
  return {
    credentials: credentialsOf(headers),
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

/** The identity, and the caller's token, each from its header. What comes twice goes to the guard twice, which refuses it. */
function credentialsOf(headers: KafkaMessage['headers']): readonly Credential[] {
  const credentials: Credential[] = []
  const names = new Set<string>()
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    const form = Object.hasOwn(forms, lower) ? forms[lower] : undefined
    if (form !== undefined) credentials.push(form(`header:${lower}`, value))
    else if (names.has(name))
      credentials.push({ kind: 'malformed', carrier: 'headers', why: 'a header comes twice, and a signature covers one' })
    names.add(name)
  }
  return credentials
}

const forms: Readonly<Record<string, (carrier: string, value: Buffer) => Credential>> = {
  [messageIdentityHeader]: (carrier, value) =>
    isText(value) && value.includes('.') ? { kind: 'envelope', carrier, envelope: value.toString('latin1') } : malformed(carrier),
  [messageCallerHeader]: (carrier, value) =>
    isText(value) ? { kind: 'bearer', carrier, token: secret(value.toString('latin1')) } : malformed(carrier),
}

function isText(value: Buffer): boolean {
  return value.length > 0 && value.length <= maxAuthorizationLength && value.every((byte) => byte > 0x20 && byte < 0x7f)
}

function malformed(carrier: string): Credential {
  return { kind: 'malformed', carrier, why: 'it is empty, too long, or holds bytes that no token has' }
}
