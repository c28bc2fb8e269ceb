import {
  AuthorizationError,
  checkOptions,
  ConfigurationError,
  isSecurityError,
  MessageGate,
  requireFunction,
  requireGuard,
  requireNumber,
  requireText,
  requireTexts,
  type Anonymous,
  type BoundSource,
  type Guard,
  type Principal,
} from '@portcullis/core'
import type { Msg, NatsConnection } from '@nats-io/transport-node'
import type { NatsClient } from './client.ts'
import { endOf } from './connection.ts'
import { dropRefused, type withoutIdentity } from './danger.ts'
import { describe } from './describe.ts'
import { codedAs, diagnose } from './diagnose.ts'
import type { NatsErrorCode } from './errors.ts'
import { lifetime, type NatsConsumer } from './lifetime.ts'
import { coreMessage, type NatsMessage } from './message.ts'
import { isSubject, sealer, type MessageToSend } from './outgoing.ts'
import { refusalOf, storeLetter } from './refuse.ts'
import { sent } from './sent.ts'

/** What {@link subscriber} takes. */
export interface SubscriberOptions<P extends Principal | Anonymous = Principal> {
  readonly client: NatsClient
  /** May hold wildcards. */
  readonly subject: string
  /** The subscribers of one group share the messages. Default: each gets all; then each needs a guard with a memory of its own. */
  readonly queue?: string
  /** Judges every message. */
  readonly guard: Guard<P>
  /** The subject to which refused messages are published, with their original bytes and the reason; a stream may take them there. `dropRefused` of `/danger` publishes none. */
  readonly deadLetter: string | typeof dropRefused
  /** Signs what the handler answers. Needed where it answers; `withoutIdentity` of `/danger` leaves answers unsigned. */
  readonly identity?: BoundSource | typeof withoutIdentity
  /**
   * What the subjects begin with to which answers and refusals are sent. Default: `_INBOX`. Whoever asks names the subject,
   * and would else have this subscriber publish, and sign, wherever it may itself: to a command of JetStream, or to another's subject.
   */
  readonly inboxes?: readonly [string, ...string[]]
  /** How many messages may be under way at a time; what comes beyond them is dropped, and reported. Default: 1,000. */
  readonly maxInFlight?: number
}

/** What a handler answers. */
export type Answer = Omit<MessageToSend, 'subject'>

/** Handles a message of a proven producer. What it returns is sent as the answer, where one is expected. */
export type SubscriptionHandler<P extends Principal | Anonymous = Principal> = (
  message: NatsMessage,
  principal: P,
) => Answer | void | Promise<Answer | void>

/**
 * Subscribes by core NATS; each message is judged, the handler gets those that the guard allows with the principal who
 * *produced* them, the others are published to the dead letters, a hundred a second at most, and their requesters told
 * no more than a status.
 *
 * At most once: what the server hands on while this reconnects, what is under way when it closes, and what comes while
 * `maxInFlight` are, is gone. `consumer` reads streams, which keep. Rejects at once if the server refuses it.
 */
export async function subscriber<P extends Principal | Anonymous>(
  options: SubscriberOptions<P>,
  handler: SubscriptionHandler<P>,
): Promise<NatsConsumer> {
  const { client, subject, queue, guard, deadLetter, identity, inboxes, maxInFlight } = settingsOf(options)
  requireFunction('subscriber: the handler', handler)
  const seal = identity === undefined ? undefined : sealer('subscriber', { identity }, client.origin)
  let connection: NatsConnection | undefined
  let underWay = 0

  const gate = new MessageGate<NatsMessage, P>({
    guard,
    describe: (message) => describe(message, subject),
    deadLetter: async (message, letter) => {
      const own = connection
      if (own === undefined) throw codedAs('ERR_NATS_CLOSED', undefined)
      if (deadLetter !== dropRefused)
        await storeLetter(message, letter, (content, headers) => sent(own, deadLetter, () => own.publish(deadLetter, content, { headers })))
      if (message.reply !== undefined && isInbox(message.reply)) own.publish(message.reply, '', { headers: refusalOf(letter) })
    },
    // Nothing is kept for who waits: sound messages would be lost in place of forged ones.
    overRate: 'drop',
    onPause: () =>
      warn('ERR_NATS_UNAVAILABLE' satisfies NatsErrorCode, `The subscriber of "${subject}" waits, for messages cannot be judged.`),
  })

  const isInbox = (to: string): boolean => inboxes.some((prefix) => to.startsWith(prefix))
  const handle = async (message: NatsMessage, principal: P): Promise<void> => {
    const answer = await handler(message, principal)
    if (message.reply === undefined || answer === undefined) return
    if (seal === undefined)
      throw new ConfigurationError('ERR_OPTION_MISSING', 'subscriber: the handler answers, and there is no `identity` to sign with.')
    if (!isInbox(message.reply))
      throw new AuthorizationError<NatsErrorCode>('ERR_NATS_FORBIDDEN', 'subscriber: the answer was to go to no inbox; see `inboxes`.')
    const { subject: to, content, headers } = await seal({ ...answer, subject: message.reply })
    connection?.publish(to, content, { headers })
  }
  const receive = async (native: Msg): Promise<void> => {
    if (underWay >= maxInFlight)
      return warn(
        'ERR_NATS_HANDLER' satisfies NatsErrorCode,
        `More than ${maxInFlight} messages of "${subject}" are under way; one was dropped.`,
      )
    underWay++
    try {
      await gate.pass(coreMessage(native), handle)
    } catch (error) {
      if (!signal.aborted && !isSecurityError(error, 'ERR_ABORTED'))
        warn('ERR_NATS_HANDLER' satisfies NatsErrorCode, `The handler of "${subject}" threw.`, error)
    } finally {
      underWay--
    }
  }
  const open = async (): Promise<void> => {
    const own = await client.open()
    const failed = Promise.withResolvers<never>()
    failed.promise.catch(() => undefined)
    const subscription = own.subscribe(subject, {
      ...(queue !== undefined && { queue }),
      callback: (error, native) => {
        // The server does not permit it, now or after a change of what this user may.
        if (error === null) void receive(native)
        else {
          failed.reject(error)
          over(error)
        }
      },
    })
    const over = (why: unknown): void => {
      if (connection !== own) return
      connection = undefined
      subscription.unsubscribe()
      void own.close().catch(() => undefined)
      lost(why)
    }
    try {
      await Promise.race([own.flush(), failed.promise])
    } catch (error) {
      await own.close().catch(() => undefined)
      throw diagnose(error)
    }
    connection = own
    void endOf(own).then((error) => over(error ?? codedAs('ERR_NATS_UNAVAILABLE', undefined)))
  }
  const release = async (): Promise<void> => {
    gate.close()
    const last = connection
    connection = undefined
    await last?.flush().catch(() => undefined)
    await last?.close().catch(() => undefined)
  }
  const life = lifetime(`The subscriber of "${subject}"`, guard, { open, release })
  const { warn, lost, signal } = life
  return await life.start()
}

function settingsOf<P extends Principal | Anonymous>(
  options: SubscriberOptions<P>,
): Pick<SubscriberOptions<P>, 'queue' | 'identity'> & Required<Omit<SubscriberOptions<P>, 'queue' | 'identity'>> {
  checkOptions<SubscriberOptions<P>>('subscriber', options, {
    client: true,
    subject: true,
    queue: true,
    guard: true,
    deadLetter: true,
    identity: true,
    inboxes: true,
    maxInFlight: true,
  })
  const { client, subject, queue, deadLetter, identity, maxInFlight = 1_000 } = options
  const inboxes = options.inboxes === undefined ? (['_INBOX'] as const) : requireTexts('subscriber: inboxes', options.inboxes)
  const guard = requireGuard('subscriber', options.guard)
  requireText('subscriber: subject', subject)
  if (queue !== undefined) requireText('subscriber: queue', queue)
  requireNumber('subscriber: maxInFlight', maxInFlight, { min: 1, max: 1_000_000 })
  if (deadLetter !== dropRefused && (!isSubject(requireText('subscriber: deadLetter', deadLetter)) || matches(subject, deadLetter)))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'subscriber: deadLetter is a subject without wildcards that is not subscribed to.')
  return {
    client,
    subject,
    guard,
    deadLetter,
    inboxes,
    maxInFlight,
    ...(queue !== undefined && { queue }),
    ...(identity !== undefined && { identity }),
  }
}

/** Whether a subscription with wildcards takes a subject. */
function matches(pattern: string, subject: string): boolean {
  const [wanted, had] = [pattern.split('.'), subject.split('.')]
  const open = wanted.at(-1) === '>'
  if (open ? had.length < wanted.length : had.length !== wanted.length) return false
  return wanted.every((token, at) => token === '*' || (open && at === wanted.length - 1) || token === had[at])
}
