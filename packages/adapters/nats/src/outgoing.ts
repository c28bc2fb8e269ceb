import {
  checkOptions,
  ConfigurationError,
  messageBinding,
  messageSealer,
  requireFunction,
  requireText,
  type BoundSource,
  type DelegatedSource,
  type Principal,
} from '@portcullis/core'
import type { MsgHdrs } from '@nats-io/transport-node'
import { randomUUID } from 'node:crypto'
import { withoutIdentity } from './danger.ts'
import { natsErrorCodes, type NatsErrorCode } from './errors.ts'
import { addressOf, messageIdHeader, nativeHeaders, signedForm } from './message.ts'

/** A message to send. */
export interface MessageToSend {
  /** Without wildcards. */
  readonly subject: string
  readonly content: string | Uint8Array
  /** Names that begin with `nats-` or `portcullis-` are reserved. */
  readonly headers?: Readonly<Record<string, string>>
  /** Default: a random one. */
  readonly id?: string
  /** The principal on whose behalf the producer acts; needs the option `caller`. */
  readonly onBehalfOf?: Principal
}

/** Who signs what goes out. */
export interface Signing {
  /** Signs each message, so that its readers know who produced it. `withoutIdentity` of `/danger` leaves messages unsigned. */
  readonly identity: BoundSource | typeof withoutIdentity
  /** Yields the token of the user for whom a message is sent (`onBehalfOf`); meant for the readers as audience, and verified by them on its own. */
  readonly caller?: DelegatedSource
}

/** A message in the form in which it goes out. */
export interface Sealed {
  readonly subject: string
  readonly content: Buffer
  readonly id: string
  readonly headers: MsgHdrs
}

/** Makes what signs messages for one server. */
export function sealer(
  where: string,
  { identity, caller }: Signing,
  origin: string,
): (message: MessageToSend, reply?: string) => Promise<Sealed> {
  const sign = identity === withoutIdentity ? undefined : requireFunction<BoundSource>(`${where}: identity`, identity)
  const seal = messageSealer({
    where,
    target: { origin, secure: true, shared: true },
    sign,
    caller,
    withoutForm: (message) => new ConfigurationError<NatsErrorCode>('ERR_NATS_CREDENTIAL', message),
  })
  return async (message, reply) => {
    const { subject, content, headers = {}, id = randomUUID(), onBehalfOf } = checkMessage(message)
    const payload = Buffer.from(content)
    const own = Object.entries(headers)
    const sealed = await seal(onBehalfOf, (token) =>
      messageBinding({ address: addressOf(subject), payload, id, headers: signedForm([...own, ...token], reply) }),
    )
    return { subject, content: payload, id, headers: nativeHeaders([...own, [messageIdHeader, id], ...sealed]) }
  }
}

function checkMessage(message: MessageToSend): MessageToSend {
  checkOptions<MessageToSend>('A message', message, { subject: true, content: true, headers: true, id: true, onBehalfOf: true })
  if (!isSubject(requireText('The subject of a message', message.subject))) throw wrong('A subject holds no wildcards and no blanks.')
  // Line ends would end a header field, and begin another one.
  if (message.id !== undefined && /[\r\n]/.test(requireText('The id of a message', message.id))) throw wrong('An id is one line.')
  for (const [name, value] of Object.entries(message.headers ?? {}))
    if (
      /^(?:nats-|nats:|portcullis-)/i.test(name) ||
      typeof value !== 'string' ||
      /[\r\n]/.test(value) ||
      !/^[\x21-\x39\x3b-\x7e]+$/.test(name)
    )
      throw wrong(`The header "${name}" is reserved, or no line of text.`)
  return message
}

/** Whether a text is a subject that one message can have. */
export function isSubject(text: string): boolean {
  return /^[^\s.*>]+(?:\.[^\s.*>]+)*$/.test(text)
}

/**
 * A text that somebody else chose, such as a user's name, as one token of a subject: `orders.${subjectToken(name)}`.
 * Throws `ERR_NATS_MESSAGE` for what would be more than one (`a.b`), or a wildcard (`*`, `>`), with which a name would
 * read or write the subjects of others.
 */
export function subjectToken(text: string): string {
  if (text.includes('.') || !isSubject(text)) throw wrong('A name is no token of a subject.')
  return text
}

function wrong(what: string): ConfigurationError {
  return new ConfigurationError<NatsErrorCode>('ERR_NATS_MESSAGE', `${what} ${natsErrorCodes.ERR_NATS_MESSAGE}`)
}
