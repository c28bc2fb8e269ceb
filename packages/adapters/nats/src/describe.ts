import {
  maxAuthorizationLength,
  messageBinding,
  messageCallerHeader,
  messageIdentityHeader,
  secret,
  type AccessRequest,
  type Credential,
} from '@portcullis/core'
import { addressOf, signedForm, type NatsMessage } from './message.ts'

/** A message, in no protocol's words. `resource` is what was subscribed to: the stream, or the subject with its wildcards. */
export function describe(message: NatsMessage, resource: string): AccessRequest {
  const { subject, content, id, headers, reply, stored } = message
  return {
    credentials: credentialsOf(headers),
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
        redelivered: stored.deliveries > 1,
      }),
    }),
  }
}

function* firsts(headers: NatsMessage['headers']): Generator<readonly [string, string]> {
  for (const [name, [value]] of headers) if (value !== undefined) yield [name, value]
}

/** The identity, and the caller's token, each from its header. What comes twice goes to the guard twice, which refuses it. */
function credentialsOf(headers: NatsMessage['headers']): readonly Credential[] {
  const credentials: Credential[] = []
  for (const [name, values] of headers) {
    const lower = name.toLowerCase()
    const form = forms.get(lower)
    if (form !== undefined) for (const value of values) credentials.push(form(`header:${lower}`, value))
    else if (values.length > 1)
      credentials.push({ kind: 'malformed', carrier: 'headers', why: 'a header comes twice, and a signature covers one' })
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
