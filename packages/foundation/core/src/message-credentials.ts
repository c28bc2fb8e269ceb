import { maxAuthorizationLength } from './authorization-header.ts'
import type { Credential } from './credential.ts'
import { messageCallerHeader, messageIdentityHeader } from './message-binding.ts'
import { secret } from './secret.ts'

/**
 * What a message presents: its identity, and the token of the caller on whose behalf it was sent, each from its header.
 * The same for every broker. `headers` are all of them, in any order, as text or bytes; the two names are compared without case.
 *
 * Either of the two that comes twice goes to the guard twice, which refuses it; any other header that comes twice is
 * malformed, for a signature covers one. Nothing is judged here.
 */
export function messageCredentials(headers: Iterable<readonly [name: string, value: string | Buffer]>): readonly Credential[] {
  const credentials: Credential[] = []
  const names = new Set<string>()
  for (const [name, value] of headers) {
    const lower = name.toLowerCase()
    const form = forms.get(lower)
    if (form !== undefined) credentials.push(form(`header:${lower}`, textOf(value)))
    else if (names.has(name))
      credentials.push({ kind: 'malformed', carrier: 'headers', why: 'a header comes twice, and a signature covers one' })
    names.add(name)
  }
  return credentials
}

const forms = new Map<string, (carrier: string, text: string | undefined) => Credential>([
  [
    messageIdentityHeader,
    // Every form of an envelope has parts.
    (carrier, text) => (text?.includes('.') === true ? { kind: 'envelope', carrier, envelope: text } : malformed(carrier)),
  ],
  [messageCallerHeader, (carrier, text) => (text === undefined ? malformed(carrier) : { kind: 'bearer', carrier, token: secret(text) })],
])

/** The value, if it is what a token can be. */
function textOf(value: string | Buffer): string | undefined {
  const text = typeof value === 'string' ? value : value.toString('latin1')
  return text.length <= maxAuthorizationLength && /^[\x21-\x7e]+$/.test(text) ? text : undefined
}

function malformed(carrier: string): Credential {
  return { kind: 'malformed', carrier, why: 'it is empty, too long, or holds characters that no token has' }
}
