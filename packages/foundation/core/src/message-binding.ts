import { hash } from 'node:crypto'
import type { MessageFacts, RequestBinding } from './access-request.ts'

/** The header (Kafka, NATS, AMQP property) that carries a message's signed identity. */
export const messageIdentityHeader = 'portcullis-identity'
/** The header that carries the token of the user on whose behalf the producer acts: audience-bound, verified on its own. */
export const messageCallerHeader = 'portcullis-caller'

const noHeaders: ReadonlyMap<string, string> = new Map()

/** What an adapter knows of a message. */
export interface MessageInit {
  /** Where it goes, or came from: `kafka:orders`, `amqp:exchange/routing.key`, `nats:orders.created`. Every part that decides who reads it. */
  readonly address: string
  readonly payload: Uint8Array
  readonly id?: string
  readonly key?: Uint8Array
  /** All of them that are text. The caller's token is among what is signed; the identity is what signs. */
  readonly headers?: Iterable<readonly [string, string]>
  readonly position?: string
  readonly appendedAtMs?: number
  readonly redelivered?: boolean
}

/**
 * What a signature over a message is matched against: the same on both sides, made from what was sent or received and
 * never from what the message says of itself. The payload is digested when the digest is first asked for.
 */
export function messageBinding(init: MessageInit): RequestBinding {
  return new Binding(init)
}

class Binding implements RequestBinding {
  readonly method = 'publish'
  readonly uri: string
  readonly message: MessageFacts
  readonly #payload: Uint8Array
  #digest: string | undefined

  constructor(init: MessageInit) {
    const { address, payload, id, key, headers, position, appendedAtMs, redelivered } = init
    this.uri = address
    this.#payload = payload
    let named: Map<string, string> | undefined
    let caller: string | undefined
    for (const [name, value] of headers ?? []) {
      const lower = name.toLowerCase()
      if (lower === messageCallerHeader) caller = value
      else if (lower !== messageIdentityHeader) (named ??= new Map()).set(name, value)
    }
    // Assigned one by one: as many spreads would take longer than all the rest.
    const facts: { -readonly [K in keyof MessageFacts]: MessageFacts[K] } = { headers: named ?? noHeaders }
    if (id !== undefined) facts.id = id
    if (caller !== undefined) facts.caller = caller
    if (key !== undefined) facts.key = Buffer.from(key.buffer, key.byteOffset, key.byteLength).toString('base64url')
    if (position !== undefined) facts.position = position
    if (appendedAtMs !== undefined) facts.appendedAtMs = appendedAtMs
    if (redelivered !== undefined) facts.redelivered = redelivered
    this.message = facts
  }

  get contentDigest(): string {
    return (this.#digest ??= hash('sha256', this.#payload, 'base64url'))
  }
}
