import {
  checkOptions,
  ConfigurationError,
  isSecurityError,
  maxRetryDelayMs,
  MessageGate,
  pause,
  requireFunction,
  requireGuard,
  requireNumber,
  requireText,
  retryDelayMs,
  type Anonymous,
  type Guard,
  type Principal,
  type SecurityError,
} from '@portcullis/core'
import type { Channel, ChannelModel, ConsumeMessage } from 'amqplib'
import { attempting } from './attempts.ts'
import type { RabbitmqClient } from './client.ts'
import { dropRefused } from './danger.ts'
import { describe } from './describe.ts'
import { codedAs, diagnose } from './diagnose.ts'
import type { RabbitmqErrorCode } from './errors.ts'
import { messageOf, type RabbitmqMessage } from './message.ts'
import { DeadLetters, formsOf } from './refuse.ts'
import { readUnreadable } from './unreadable.ts'

/** What {@link consumer} takes. */
export interface ConsumerOptions<P extends Principal | Anonymous = Principal> {
  readonly client: RabbitmqClient
  /** It must exist. */
  readonly queue: string
  /** Judges every message. */
  readonly guard: Guard<P>
  /** The queue for messages that are refused, with their original bytes and the reason. It must exist. `dropRefused` of `/danger` stores none. */
  readonly deadLetter: string | typeof dropRefused
  /** How many messages may be under way at a time. Default: 32; 1 keeps the order of the queue. */
  readonly prefetch?: number
}

/** A consumer that runs. */
export interface RabbitmqConsumer {
  /** Resolves after {@link RabbitmqConsumer.close}; rejects when the broker refuses to go on. It lives through outages. */
  readonly ended: Promise<void>
  /** Stops. A message that waits to be judged or whose handler runs goes back to its queue. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Handles a message of a proven producer. When it resolves, the message is acknowledged; if it throws, the message goes back to the queue after a while. */
export type MessageHandler<P extends Principal | Anonymous = Principal> = (message: RabbitmqMessage, principal: P) => unknown

// At half a minute each, longer than any machine runs.
const forever = 1_000_000_000

// A service that starts waits for its broker about ten seconds, and then says so.
const firstAttempts = 6

/**
 * Consumes the messages of a queue, each of which is judged: the handler gets those that the guard allows, with the
 * principal who *produced* them; the others go to the dead letters, and are acknowledged once the broker has confirmed
 * that they are stored there. What cannot be judged stays unacknowledged, so that the broker sends no more than `prefetch`.
 *
 * At least once: what was handled and not yet acknowledged when a connection ends is handed out again, flagged as
 * redelivered. Rejects at once if the broker refuses it, and lives through outages, with a growing delay.
 */
export async function consumer<P extends Principal | Anonymous>(
  options: ConsumerOptions<P>,
  handler: MessageHandler<P>,
): Promise<RabbitmqConsumer> {
  const { client, queue, guard, deadLetter, prefetch } = settingsOf(options)
  requireFunction('consumer: the handler', handler)
  const letters = deadLetter === dropRefused ? undefined : new DeadLetters(client, deadLetter)
  const gate = new MessageGate<RabbitmqMessage, P>({
    guard,
    describe: (message) => describe(message, queue),
    deadLetter: async (message, letter) => letters?.store(formsOf(message, queue, letter)),
    onPause: () =>
      guard.report({
        type: 'warning',
        protocol: 'amqp',
        code: 'ERR_RABBITMQ_UNAVAILABLE',
        message: `The consumer of "${queue}" waits, for messages cannot be judged.`,
      }),
  })
  const stop = new AbortController()
  const ended = Promise.withResolvers<void>()
  // Whoever does not look at it still finds the end in the audit trail.
  ended.promise.catch(() => undefined)
  let model: ChannelModel | undefined
  let openedAtMs = 0
  let brief = 0

  const receive = async (channel: Channel, native: ConsumeMessage): Promise<void> => {
    const settle = (act: () => void): void => {
      try {
        act()
      } catch {
        // The channel is gone: the broker hands the message out again by itself.
      }
    }
    try {
      await gate.pass(messageOf(native), handler)
      settle(() => channel.ack(native))
    } catch (error) {
      if (stop.signal.aborted || isSecurityError(error, 'ERR_ABORTED')) return
      guard.report({
        type: 'warning',
        protocol: 'amqp',
        code: 'ERR_RABBITMQ_HANDLER' satisfies RabbitmqErrorCode,
        message: `The handler of "${queue}" threw.`,
        cause: error,
      })
      // A message that fails over and over must not spin.
      await pause(retryDelayMs(0), stop.signal)
      settle(() => channel.nack(native, false, true))
    }
  }

  const open = async (): Promise<void> => {
    const opened = await client.open()
    readUnreadable(opened)
    try {
      const channel = await opened.createChannel()
      let reason: Error | undefined
      channel.on('error', (error: Error) => (reason = error))
      opened.on('error', (error: Error) => (reason ??= error))
      // From before the first message: what comes with it may end the connection.
      const closed = new Promise<Error | undefined>((resolve) => {
        channel.on('close', () => resolve(undefined))
        opened.on('close', resolve)
      })
      await channel.prefetch(prefetch)
      await channel.consume(queue, (native) => {
        // The queue was deleted under the consumer.
        if (native === null) reason = codedAs('ERR_RABBITMQ_NOT_FOUND', undefined)
        if (native === null) return void opened.close().catch(() => undefined)
        return void receive(channel, native)
      })
      model = opened
      openedAtMs = performance.now()
      void (async () => {
        const cause = await closed
        if (model !== opened) return
        model = undefined
        void opened.close().catch(() => undefined)
        await again(reason ?? cause).catch(end)
      })()
    } catch (error) {
      await opened.close().catch(() => undefined)
      throw diagnose(error)
    }
  }
  /** After an outage opens anew, for as long as it takes; anything else is the end. */
  const again = async (error: unknown): Promise<void> => {
    if (stop.signal.aborted) return
    const cause = diagnose(error)
    if (cause.family !== 'unavailable') throw cause
    guard.report({ type: 'warning', protocol: 'amqp', code: cause.code, message: `The consumer of "${queue}" connects anew.`, cause })
    // What ends each connection soon after it was opened must not spin.
    brief = performance.now() - openedAtMs < maxRetryDelayMs ? brief + 1 : 0
    if (brief > 1) await pause(retryDelayMs(brief - 2), stop.signal)
    await attempting(
      forever,
      async () => {
        if (!stop.signal.aborted) await open()
      },
      stop.signal,
    )
    if (stop.signal.aborted) await close()
  }
  const end = (error: SecurityError): void => {
    if (stop.signal.aborted) return
    guard.report({
      type: 'sessionEnded',
      protocol: 'amqp',
      code: error.code,
      message: `The consumer of "${queue}" has ended.`,
      cause: error,
    })
    ended.reject(error)
    void close()
  }
  const close = async (): Promise<void> => {
    stop.abort()
    gate.close()
    const last = model
    model = undefined
    await last?.close().catch(() => undefined)
    await letters?.close()
    ended.resolve()
  }

  try {
    await attempting(firstAttempts, open)
  } catch (error) {
    await close()
    throw error
  }
  return { ended: ended.promise, close, [Symbol.asyncDispose]: close }
}

function settingsOf<P extends Principal | Anonymous>(options: ConsumerOptions<P>): Required<ConsumerOptions<P>> {
  checkOptions<ConsumerOptions<P>>('consumer', options, { client: true, queue: true, guard: true, deadLetter: true, prefetch: true })
  const { client, queue, deadLetter, prefetch = 32 } = options
  const guard = requireGuard('consumer', options.guard)
  requireText('consumer: queue', queue)
  // Zero is the protocol's word for "no limit".
  requireNumber('consumer: prefetch', prefetch, { min: 1, max: 65_535 })
  if (deadLetter !== dropRefused && requireText('consumer: deadLetter', deadLetter) === queue)
    throw new ConfigurationError('ERR_OPTION_INVALID', 'consumer: the queue of the dead letters is the one that is consumed.')
  return { client, queue, guard, deadLetter, prefetch }
}
