import {
  BoundedCache,
  checkOptions,
  ConfigurationError,
  isSecurityError,
  MessageGate,
  requireFunction,
  requireGuard,
  requireNumber,
  requireText,
  type Anonymous,
  type Guard,
  type Principal,
} from '@portcullis/core'
import { StartPosition, type Message } from 'node-nats-streaming'
import { identifier, type StanClient } from './client.ts'
import type { StanConnection } from './connection.ts'
import { dropRefused } from './danger.ts'
import { describe } from './describe.ts'
import { diagnose } from './diagnose.ts'
import type { StanErrorCode } from './errors.ts'
import { attempting, Line } from './line.ts'
import { isChannel, positionOf, received, type StanMessage } from './message.ts'
import { deadLetterOf } from './refuse.ts'

/** What {@link consumer} takes. */
export interface ConsumerOptions<P extends Principal | Anonymous = Principal> {
  readonly client: StanClient
  /** By it and the durable name the server knows where this consumer stands; each instance has its own. */
  readonly clientId: string
  readonly channel: string
  /** The name of the subscription, by which the server keeps its place. There is none without: each renewal of a credential would pass messages over. */
  readonly durable: string
  /** The consumers of one group share the messages and the place. */
  readonly queue?: string
  /** Judges every message. */
  readonly guard: Guard<P>
  /** The channel for messages that are refused, with their original bytes and the reason. `dropRefused` of `/danger` stores none. */
  readonly deadLetter: string | typeof dropRefused
  /** Where a durable name that is new begins. Default: `first`, which passes nothing over. */
  readonly startAt?: 'first' | 'new'
  /** How many messages may be under way at a time. Default: 64; 1 keeps the order of the channel. */
  readonly prefetch?: number
  /** After how long the server hands out again what is not acknowledged. Default: 30. */
  readonly ackWaitSeconds?: number
}

/** Handles a message of a proven producer. When it resolves, the message is acknowledged; if it throws, the server hands it out again after `ackWaitSeconds`. */
export type MessageHandler<P extends Principal | Anonymous = Principal> = (message: StanMessage, principal: P) => unknown

/** A consumer that runs. */
export interface StanConsumer {
  /** Resolves after {@link StanConsumer.close}; rejects when the server refuses to go on. It lives through outages. */
  readonly ended: Promise<void>
  /** Stops, and keeps the place. A message that waits to be judged or whose handler runs is handed out again. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

// A service that starts waits for its server about ten seconds, and then says so.
const firstAttempts = 6
// At half a minute each, longer than any machine runs.
const forever = 1_000_000_000
// A message whose acknowledgement was lost comes again after the server's wait: half a minute at 3,000 a second, in 10 MB.
const maxRemembered = 100_000
const rememberedMs = 3_600_000

/**
 * Consumes messages of a channel, each of which is judged: the handler gets those that the guard allows, with the
 * principal who *produced* them; the others go to the dead letters, and are acknowledged once the server has confirmed
 * that it has them. What cannot be judged is kept unacknowledged, and no more than `prefetch` are taken meanwhile.
 *
 * At least once: what was handled and not yet acknowledged when the process ends is handed out again, at its old
 * position. Within one consumer a message that was handled is not handled again. Rejects at once if the server refuses
 * it, and lives through outages, with a growing delay.
 */
export async function consumer<P extends Principal | Anonymous>(
  options: ConsumerOptions<P>,
  handler: MessageHandler<P>,
): Promise<StanConsumer> {
  const { client, clientId, channel, durable, queue, guard, deadLetter, startAt, prefetch, ackWaitSeconds } = settingsOf(options)
  requireFunction('consumer: the handler', handler)
  const stop = new AbortController()
  const { signal } = stop
  const line = new Line(client, clientId)
  const warn = (code: string, message: string, cause?: unknown): void =>
    guard.report({ type: 'warning', protocol: 'stan', code, message, ...(cause !== undefined && { cause }) })

  const gate = new MessageGate<StanMessage, P>({
    guard,
    describe: (message) => describe(message, client.secure),
    deadLetter: async (message, letter) => {
      if (deadLetter !== dropRefused)
        await line.publish(deadLetter, (own) => deadLetterOf(message, letter, (data) => own.fits(deadLetter, data)))
    },
    onPause: () =>
      warn('ERR_STAN_UNAVAILABLE' satisfies StanErrorCode, `The consumer of "${channel}" waits, for messages cannot be judged.`),
  })
  const done = new BoundedCache<string, true>({ maxEntries: maxRemembered, clock: guard.clock })
  /** Each with the copy that came last, by whose connection it is acknowledged. */
  const underWay = new Map<string, Message>()

  const receive = async (native: Message): Promise<void> => {
    const message = received(native)
    const at = positionOf(message)
    // Its acknowledgement was lost, or it took longer than the server waits: it was handled, or is being.
    if (done.get(at) === true) return acknowledge(native)
    const handled = underWay.has(at)
    underWay.set(at, native)
    if (handled) return
    try {
      await gate.pass(message, handler)
      done.set(at, true, guard.clock.now() + rememberedMs)
      acknowledge(underWay.get(at) ?? native)
    } catch (error) {
      if (!signal.aborted && !isSecurityError(error, 'ERR_ABORTED'))
        warn('ERR_STAN_HANDLER' satisfies StanErrorCode, `The handler of "${channel}" threw at ${message.sequence}.`, error)
    } finally {
      underWay.delete(at)
    }
  }

  const attach = async (): Promise<StanConnection> => {
    const own = await line.connection()
    const settings = own.stan
      .subscriptionOptions()
      .setManualAckMode(true)
      .setDurableName(durable)
      .setMaxInFlight(prefetch)
      .setAckWait(ackWaitSeconds * 1_000)
      .setStartAt(startAt === 'first' ? StartPosition.FIRST : StartPosition.NEW_ONLY)
    // Nothing can be acknowledged before the server has said where to.
    const ready = Promise.withResolvers<void>()
    try {
      await own.subscribe(channel, queue, settings, (subscription) =>
        subscription.on('message', (native: Message) => void ready.promise.then(() => receive(native))),
      )
    } catch (error) {
      // A request that was not answered may have been carried out: nobody else is to have the place.
      await own.close()
      throw error
    }
    ready.resolve()
    return own
  }

  const ended = Promise.withResolvers<void>()
  // Whoever does not look at it still finds the end in the audit trail.
  ended.promise.catch(() => undefined)
  let closing: Promise<void> | undefined
  const close = (): Promise<void> =>
    (closing ??= (async () => {
      stop.abort()
      gate.close()
      await line.close()
      ended.resolve()
    })())
  const follow = async (first: StanConnection): Promise<void> => {
    try {
      for (let own = first; !signal.aborted; own = await attempting(forever, attach, signal)) {
        const why = await own.ended
        if (why !== undefined) warn(why.code, `The consumer of "${channel}" connects anew.`, why)
        if (signal.aborted) return
      }
    } catch (error) {
      if (signal.aborted) return
      const meant = diagnose(error)
      const message = `The consumer of "${channel}" has ended.`
      guard.report({ type: 'sessionEnded', protocol: 'stan', code: meant.code, message, cause: meant })
      ended.reject(meant)
      await close()
    }
  }
  try {
    void follow(await attempting(firstAttempts, attach))
  } catch (error) {
    await close()
    throw error
  }
  return { ended: ended.promise, close, [Symbol.asyncDispose]: close }
}

/** One that is lost on the way costs a redelivery, which is recognized. */
function acknowledge(native: Message): void {
  try {
    native.ack()
  } catch {
    // The connection is gone: the server hands the message out again by itself.
  }
}

type Settings<P extends Principal | Anonymous> = Required<Omit<ConsumerOptions<P>, 'queue'>> & Pick<ConsumerOptions<P>, 'queue'>

function settingsOf<P extends Principal | Anonymous>(options: ConsumerOptions<P>): Settings<P> {
  checkOptions<ConsumerOptions<P>>('consumer', options, {
    client: true,
    clientId: true,
    channel: true,
    durable: true,
    queue: true,
    guard: true,
    deadLetter: true,
    startAt: true,
    prefetch: true,
    ackWaitSeconds: true,
  })
  const { client, clientId, channel, durable, queue, deadLetter, startAt = 'first', prefetch = 64, ackWaitSeconds = 30 } = options
  const guard = requireGuard('consumer', options.guard)
  identifier('consumer: clientId', clientId)
  requireText('consumer: durable', durable)
  if (queue !== undefined) requireText('consumer: queue', queue)
  requireNumber('consumer: prefetch', prefetch, { min: 1, max: 10_000 })
  requireNumber('consumer: ackWaitSeconds', ackWaitSeconds, { min: 1, max: 86_400 })
  if (startAt !== 'first' && startAt !== 'new') throw new ConfigurationError('ERR_OPTION_INVALID', 'consumer: startAt is `first` or `new`.')
  if (!isChannel(requireText('consumer: channel', channel)))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'consumer: channel holds no wildcards.')
  if (deadLetter !== dropRefused && (!isChannel(requireText('consumer: deadLetter', deadLetter)) || deadLetter === channel))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'consumer: deadLetter is another channel, without wildcards.')
  return {
    client,
    clientId,
    channel,
    durable,
    guard,
    deadLetter,
    startAt,
    prefetch: Math.floor(prefetch),
    ackWaitSeconds: Math.ceil(ackWaitSeconds),
    ...(queue !== undefined && { queue }),
  }
}
