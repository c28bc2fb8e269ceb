import { checkOptions, isGuard, requireNumber, type Anonymous, type Guard, type Principal } from '@portcullis/core'
import { createInbox, type Msg, type NatsConnection } from '@nats-io/transport-node'
import { attempting } from './attempts.ts'
import type { NatsClient } from './client.ts'
import { anyReply } from './danger.ts'
import { describe } from './describe.ts'
import { codedAs, diagnose } from './diagnose.ts'
import { Line } from './line.ts'
import { coreMessage, type NatsMessage } from './message.ts'
import { sealer, type MessageToSend, type Signing } from './outgoing.ts'
import { sent } from './sent.ts'

/** What {@link publisher} takes. */
export interface PublisherOptions<P extends Principal | Anonymous = Principal> extends Signing {
  readonly client: NatsClient
  /** Judges who answers a request. Without it nothing can be requested; `anyReply` of `/danger` believes whoever answers. */
  readonly replies?: Guard<P> | typeof anyReply
}

/** An answer, with the principal who gave it: `undefined` where `anyReply` asked nobody. */
export interface NatsReply<P extends Principal | Anonymous = Principal> {
  readonly message: NatsMessage
  readonly principal: P | undefined
}

/** Publishes and requests by core NATS, and says who does. */
export interface NatsPublisher<P extends Principal | Anonymous = Principal> {
  /**
   * Signs and publishes: at most once. It resolves when the server has the message; nobody may be listening, and what
   * the server hands on while a subscriber reconnects is gone. `producer` stores instead. Rejects with
   * `ERR_NATS_UNAVAILABLE` if the connection was lost meanwhile (it may have arrived), with `ERR_NATS_FORBIDDEN`.
   */
  publish(message: MessageToSend): Promise<void>
  /**
   * Asks and waits for one answer, at most once. Rejects with `ERR_NATS_NO_RESPONDER`, `ERR_NATS_REQUEST_REFUSED` (the far
   * end did not accept who asks), `ERR_NATS_REPLY_REFUSED` (the guard did not accept who answers), and with
   * `ERR_NATS_UNAVAILABLE` after `timeoutMs` (default 10,000), by which time it may have been carried out. Never repeated.
   */
  request(message: MessageToSend, options?: { readonly timeoutMs?: number }): Promise<NatsReply<P>>
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

// As a service that starts: about ten seconds.
const firstAttempts = 6

/** Connects a publisher. Rejects at once for refusals, and after some attempts if the server does not answer. */
export async function publisher<P extends Principal | Anonymous = Principal>(options: PublisherOptions<P>): Promise<NatsPublisher<P>> {
  checkOptions<PublisherOptions<P>>('publisher', options, { client: true, identity: true, caller: true, replies: true })
  const { client, replies } = options
  const seal = sealer('publisher', options, client.origin)
  const line = new Line(client)
  await attempting(firstAttempts, () => line.connection())

  const publishOn = async (connection: NatsConnection, message: MessageToSend, reply?: string): Promise<void> => {
    const { subject, content, headers } = await seal(message, reply)
    await sent(connection, subject, () => connection.publish(subject, content, { headers, ...(reply !== undefined && { reply }) }))
  }
  const close = (): Promise<void> => line.close()
  return {
    async publish(message) {
      await publishOn(await line.connection(), message)
    },
    async request(message, { timeoutMs = 10_000 } = {}) {
      requireNumber('request: timeoutMs', timeoutMs, { min: 1, max: 3_600_000 })
      if (replies !== anyReply && !isGuard(replies))
        throw codedAs('ERR_NATS_REPLY_REFUSED', new TypeError('publisher: there is no guard `replies` to judge an answer.'))
      const connection = await line.connection()
      const inbox = createInbox(inboxPrefixOf(connection))
      // Nobody else knows this subject, and one answer is taken.
      const answer = firstOf(connection, inbox, timeoutMs)
      answer.catch(() => undefined)
      await publishOn(connection, message, inbox)
      const reply = coreMessage(await answer)
      if (reply.headers.has('Nats-Service-Error-Code')) throw codedAs('ERR_NATS_REQUEST_REFUSED', reply.headers)
      if (replies === anyReply) return { message: reply, principal: undefined }
      const decision = await replies.decide(describe(reply, message.subject))
      if (decision.outcome === 'unavailable') throw codedAs('ERR_NATS_UNAVAILABLE', decision)
      if (decision.outcome !== 'allow') throw codedAs('ERR_NATS_REPLY_REFUSED', decision)
      return { message: reply, principal: decision.principal }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function inboxPrefixOf(connection: NatsConnection): string {
  // The library keeps the option to itself; its requests begin with it.
  const { options } = connection as unknown as { readonly options?: { readonly inboxPrefix?: string } }
  return options?.inboxPrefix ?? '_INBOX'
}

async function firstOf(connection: NatsConnection, inbox: string, timeoutMs: number): Promise<Msg> {
  try {
    for await (const message of connection.subscribe(inbox, { max: 1, timeout: timeoutMs })) {
      // The server itself says that nobody listens (its protocol, "no responders").
      if (message.data.length === 0 && message.headers?.code === 503) throw codedAs('ERR_NATS_NO_RESPONDER', undefined)
      return message
    }
  } catch (error) {
    throw diagnose(error)
  }
  throw codedAs('ERR_NATS_UNAVAILABLE', undefined)
}
