import {
  checkOptions,
  ConfigurationError,
  isSecurityError,
  MessageGate,
  pause,
  requireFunction,
  requireGuard,
  requireText,
  requireTexts,
  retryDelayMs,
  type Anonymous,
  type Guard,
  type Principal,
  type SecurityError,
} from '@portcullis/core'
import { attempts } from './attempts.ts'
import type { KafkaClient, NativeConsumer } from './client.ts'
import { dropRefused } from './danger.ts'
import { describe } from './describe.ts'
import { diagnose } from './diagnose.ts'
import type { KafkaErrorCode } from './errors.ts'
import type { KafkaMessage } from './record.ts'
import { deadLetterOf, withoutContent } from './refuse.ts'

/** What {@link consumer} takes. */
export interface ConsumerOptions<P extends Principal | Anonymous = Principal> {
  readonly client: KafkaClient
  /** The consumer group, in which the partitions are shared out and the position is kept. */
  readonly group: string
  readonly topics: readonly [string, ...string[]]
  /** Judges every message. */
  readonly guard: Guard<P>
  /** The topic for messages that are refused, with their original bytes and the reason. `dropRefused` of `/danger` stores none. */
  readonly deadLetter: string | typeof dropRefused
  /** Where a group begins that has no position yet. Default: `earliest`, so that nothing is passed over. */
  readonly from?: 'earliest' | 'latest'
}

/** A consumer that runs. */
export interface KafkaConsumer {
  /** Resolves after {@link KafkaConsumer.close}; rejects when the brokers refuse to go on. It lives through outages. */
  readonly ended: Promise<void>
  /** Acknowledges what was handled, and leaves the group. A message that waits to be judged is given up, unacknowledged. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** Handles a message of a proven producer. When it resolves, the message may be acknowledged; if it throws, it is called again with the same message after a while. */
export type MessageHandler<P extends Principal | Anonymous = Principal> = (message: KafkaMessage, principal: P) => unknown

/**
 * Consumes messages, each of which is judged: the handler gets those that the guard allows, with the principal who
 * *produced* them; the others go to the dead letters, and are acknowledged once they are stored there. While messages
 * cannot be judged, nothing is read. Messages of a partition come one after the other.
 *
 * At least once: what was handled and not yet acknowledged when a consumer ends is handed out again, at its old position.
 * Rejects at once if the brokers refuse it, and lives through outages, with a growing delay.
 */
export async function consumer<P extends Principal | Anonymous>(
  options: ConsumerOptions<P>,
  handler: MessageHandler<P>,
): Promise<KafkaConsumer> {
  const { client, group, topics, from, guard, deadLetter } = settingsOf(options)
  requireFunction('consumer: the handler', handler)
  const dead =
    deadLetter === dropRefused
      ? undefined
      : { topic: deadLetter, producer: await attempts('consumer', firstAttempts)(() => client.openProducer()) }
  const gate = new MessageGate<KafkaMessage, P>({
    guard,
    describe: (message) => describe(message, client.secure),
    deadLetter: async (message, letter) => {
      try {
        await dead?.producer.send([deadLetterOf(message, letter, dead.topic)])
      } catch (error) {
        if (diagnose(error).code !== 'ERR_KAFKA_MESSAGE') throw error
        await dead?.producer.send([withoutContent(message, letter, dead.topic)])
      }
    },
    onPause: () =>
      guard.report({
        type: 'warning',
        protocol: 'kafka',
        code: 'ERR_KAFKA_WAITING' satisfies KafkaErrorCode,
        message: `Consumer "${group}" waits, for a message cannot be judged.`,
      }),
  })
  const ended = Promise.withResolvers<void>()
  // Whoever does not look at it still finds the end in the audit trail.
  ended.promise.catch(() => undefined)
  const stop = new AbortController()
  let native: NativeConsumer | undefined

  const receive = async (message: KafkaMessage): Promise<void> => {
    for (let attempt = 0; ; attempt++) {
      try {
        await gate.pass(message, handler)
        return
      } catch (error) {
        if (stop.signal.aborted || isSecurityError(error, 'ERR_ABORTED')) throw error
        guard.report({
          type: 'warning',
          protocol: 'kafka',
          code: 'ERR_KAFKA_HANDLER' satisfies KafkaErrorCode,
          message: `The handler threw at ${message.topic}/${message.partition}/${message.offset}.`,
          cause: error,
        })
        await pause(retryDelayMs(attempt), stop.signal)
        if (stop.signal.aborted) throw error
      }
    }
  }
  const open = (): Promise<NativeConsumer> =>
    client.openConsumer({ group, topics, from, receive, failed: (cause) => void again(cause).catch(end) })
  /** After an outage opens anew, for as long as it takes; anything else is the end. */
  const again = async (error: unknown): Promise<void> => {
    native = undefined
    for (let attempt = 0, cause = diagnose(error); !stop.signal.aborted; attempt++) {
      if (cause.family !== 'unavailable') throw cause
      guard.report({ type: 'warning', protocol: 'kafka', code: cause.code, message: `Consumer "${group}" connects anew.`, cause })
      await pause(retryDelayMs(attempt), stop.signal)
      try {
        const opened = await open()
        if (stop.signal.aborted) return await opened.close()
        native = opened
        return
      } catch (failure) {
        cause = diagnose(failure)
      }
    }
  }
  const end = (error: SecurityError): void => {
    if (stop.signal.aborted) return
    guard.report({ type: 'sessionEnded', protocol: 'kafka', code: error.code, message: `Consumer "${group}" has ended.`, cause: error })
    ended.reject(error)
    void close()
  }
  let closing: Promise<void> | undefined
  const close = (): Promise<void> =>
    (closing ??= (async () => {
      stop.abort()
      gate.close()
      // A broker that is away cannot be told how far we came; it hands that out again.
      await native?.close().catch(() => undefined)
      await dead?.producer.close().catch(() => undefined)
      ended.resolve()
    })())

  try {
    native = await attempts('consumer', firstAttempts)(open)
  } catch (error) {
    await close()
    throw error
  }
  return { ended: ended.promise, close, [Symbol.asyncDispose]: close }
}

// A service that starts waits for its broker about ten seconds, and then says so.
const firstAttempts = 6

function settingsOf<P extends Principal | Anonymous>(options: ConsumerOptions<P>): Required<ConsumerOptions<P>> {
  checkOptions<ConsumerOptions<P>>('consumer', options, {
    client: true,
    group: true,
    topics: true,
    guard: true,
    deadLetter: true,
    from: true,
  })
  const { client, group, guard, deadLetter, from = 'earliest' } = options
  requireGuard('consumer', guard)
  const topics = requireTexts('consumer: topics', options.topics)
  requireText('consumer: group', group)
  if (deadLetter !== dropRefused && topics.includes(requireText('consumer: deadLetter', deadLetter)))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'consumer: the topic of the dead letters is among those that are consumed.')
  if (from !== 'earliest' && from !== 'latest')
    throw new ConfigurationError('ERR_OPTION_INVALID', 'consumer: from must be "earliest" or "latest".')
  return { client, group, topics, guard, deadLetter, from }
}
