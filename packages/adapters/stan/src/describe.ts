import { messageBinding, messageCredentials, type AccessRequest } from '@portcullis/core'
import { addressOf, positionOf, signedForm, type StanMessage } from './message.ts'

/** A message, in no protocol's words. `secure`: whether the server was reached over TLS. */
export function describe(message: StanMessage, secure: boolean): AccessRequest {
  const { channel, content, id, headers, at, broken } = message
  const all = [...headers].flatMap(([name, values]) => values.map((value) => [name, value] as const))
  return {
    credentials: broken ? [{ kind: 'malformed', carrier: 'frame', why: 'it begins like a frame and is none' }] : messageCredentials(all),
    action: 'consume',
    resource: channel,
    attributes: {},
    channel: { from: 'relay', protocol: 'stan', secure },
    binding: messageBinding({
      address: addressOf(channel),
      payload: content,
      headers: signedForm(all),
      ...(id !== undefined && { id }),
      // Exact, so the server's flag of a redelivery says nothing more: at another position it is a replay, flagged or not.
      position: positionOf(message),
      appendedAtMs: at.getTime(),
    }),
  }
}
