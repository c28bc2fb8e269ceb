import {
  BoundedCache,
  checkOptions,
  ConfigurationError,
  isSecurityError,
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
} from '@portcullis/core'
import { jetstream, type Consumer, type ConsumerMessages, type JsMsg } from '@nats-io/jetstream'
import type { NatsConnection } from '@nats-io/transport-node'
import type { NatsClient } from './client.ts'
import { endOf } from './connection.ts'
import { dropRefused } from './danger.ts'
import { describe } from './describe.ts'
import { codedAs, diagnose } from './diagnose.ts'
import type { NatsErrorCode } from './errors.ts'
import { lifetime, type NatsConsumer } from './lifetime.ts'
import { Line } from './line.ts'
import { storedMessage, type NatsMessage } from './message.ts'
import { isSubject } from './outgoing.ts'
import { storeLetter } from './refuse.ts'

/** What {@link consumer} takes. */
export interface ConsumerOptions<P extends Principal | Anonymous = Principal> {
  readonly client: NatsClient
  readonly stream: string
  /** The durable consumer of the stream, in which the position is kept. It must exist, and acknowledge explicitly. */
  readonly consumer: string
  /** Judges every message. */
  readonly guard: Guard<P>
  /** The subject, of a stream, for messages that are refused, with their original bytes and the reason. `dropRefused` of `/danger` stores none. */
  readonly deadLetter: string | typeof dropRefused
  /** How many messages may be under way at a time. Default: 64; 1 keeps the order of the stream. */
  readonly prefetch?: number
}

/** Handles a message of a proven producer. When it resolves, the message is acknowledged; if it throws, the message is handed over again after a while. */
export type MessageHandler<P extends Principal | Anonymous = Principal> = (message: NatsMessage, principal: P) => unknown

// How long a request for messages stands before it is made anew.
const pullForMs = 30_000
// A message whose acknowledgement was lost comes again after the server's wait: half a minute at 3,000 a second, in 10 MB.
const maxRemembered = 100_000
const rememberedMs = 3_600_000

/**
 * Consumes messages of a stream, each of which is judged: the handler gets those that the guard allows, with the
 * principal who *produced* them; the others go to the dead letters, and are acknowledged once a stream has confirmed
 * that it has them. What cannot be judged is kept unacknowledged, and the server is told that it is being worked on.
 *
 * At least once: what was handled and not yet acknowledged when the process ends is handed out again, at its old
 * position. Within one consumer a message that was handled is not handled again. Rejects at once if the server refuses
 * it, and lives through outages, with a growing delay.
 */
export async function consumer<P extends Principal | Anonymous>(
  options: ConsumerOptions<P>,
  handler: MessageHandler<P>,
): Promise<NatsConsumer> {
  const { client, stream, consumer: durable, guard, deadLetter, prefetch } = settingsOf(options)
  requireFunction('consumer: the handler', handler)
  const letters = deadLetter === dropRefused ? undefined : new Line(client)
  const gate = new MessageGate<NatsMessage, P>({
    guard,
    describe: (message) => describe(message, stream),
    deadLetter: async (message, letter) => {
      if (letters === undefined || deadLetter === dropRefused) return
      const { stored } = message
      // A dead letter that was stored and not confirmed is stored again, and recognized.
      const id = `dead/${stored?.stream ?? ''}/${stored?.sequence ?? ''}`
      await storeLetter(message, letter, (content, headers) => letters.store(deadLetter, content, headers, id))
    },
    onPause: () =>
      warn('ERR_NATS_UNAVAILABLE' satisfies NatsErrorCode, `The consumer of "${stream}" waits, for messages cannot be judged.`),
  })
  const done = new BoundedCache<number, true>({ maxEntries: maxRemembered, clock: guard.clock })
  const underWay = new Set<number>()
  let room = Promise.withResolvers<void>()
  let connection: NatsConnection | undefined

  const receive = async (native: JsMsg, workingEveryMs: number): Promise<void> => {
    const message = storedMessage(native)
    const at = native.seq
    // Its acknowledgement was lost, or it took longer than the server waits: it was handled, or is being.
    if (underWay.has(at)) return
    if (done.get(at) === true) return acknowledge(native)
    underWay.add(at)
    const working = setInterval(() => native.working(), workingEveryMs)
    try {
      await gate.pass(message, handler)
      done.set(at, true, guard.clock.now() + rememberedMs)
      acknowledge(native)
    } catch (error) {
      if (signal.aborted || isSecurityError(error, 'ERR_ABORTED')) return
      warn('ERR_NATS_HANDLER' satisfies NatsErrorCode, `The handler of "${stream}" threw at ${at}.`, error)
      native.nak(retryDelayMs(native.info.deliveryCount))
    } finally {
      clearInterval(working)
      underWay.delete(at)
      room.resolve()
    }
  }

  /** Reads in batches of as many as there is room for, so that nothing waits here while the server's time runs. */
  const read = async (own: NatsConnection): Promise<void> => {
    const js = jetstream(own)
    const from = await js.consumers.get(stream, durable)
    const { config } = await from.info(true)
    if (config.ack_policy !== 'explicit')
      throw new ConfigurationError<NatsErrorCode>('ERR_NATS_STREAM', `The consumer "${durable}" does not acknowledge explicitly.`)
    const workingEveryMs = Math.max(100, (config.ack_wait ?? 30_000_000_000) / 3_000_000)
    connection = own
    // Whoever waits for room learns that there is nothing left to wait for.
    void own.closed().then(() => room.resolve())
    void pull(own, from, workingEveryMs).catch(over(own))
  }
  const pull = async (own: NatsConnection, from: Consumer, workingEveryMs: number): Promise<void> => {
    let batch: ConsumerMessages | undefined
    void (async () => {
      // The server forgot the request with the connection that it came on.
      for await (const { type } of own.status()) if (type === 'reconnect') batch?.stop()
    })()
    for (let failures = 0; !signal.aborted && !own.isClosed();) {
      while (underWay.size > prefetch / 2 && !own.isClosed()) {
        room = Promise.withResolvers()
        await room.promise
      }
      try {
        batch = await from.fetch({ max_messages: prefetch - underWay.size, expires: pullForMs })
        for await (const native of batch) void receive(native, workingEveryMs)
        failures = 0
      } catch (error) {
        if (signal.aborted || own.isClosed()) break
        await pause(retryDelayMs(failures++), signal)
        // Whether it was deleted, or the server is away for a while.
        await from.info().catch((cause: unknown) => {
          if (diagnose(cause).family !== 'unavailable') throw cause
        })
        warn('ERR_NATS_UNAVAILABLE' satisfies NatsErrorCode, `The consumer of "${stream}" asks again.`, error)
      }
    }
    throw (await endOf(own)) ?? codedAs('ERR_NATS_UNAVAILABLE', undefined)
  }
  const over =
    (own: NatsConnection) =>
    (why: unknown): void => {
      if (connection !== own) return
      connection = undefined
      void own.close().catch(() => undefined)
      lost(why)
    }
  const open = async (): Promise<void> => {
    const own = await client.open()
    try {
      await read(own)
    } catch (error) {
      await own.close().catch(() => undefined)
      throw diagnose(error)
    }
  }
  const release = async (): Promise<void> => {
    gate.close()
    const last = connection
    connection = undefined
    // Acknowledgements that are on their way go out first.
    await last?.flush().catch(() => undefined)
    await last?.close().catch(() => undefined)
    await letters?.close()
  }
  const life = lifetime(`The consumer of "${stream}"`, guard, { open, release })
  const { warn, lost, signal } = life
  return await life.start()
}

/** One that is lost on the way costs a redelivery, which is recognized. */
function acknowledge(native: JsMsg): void {
  try {
    native.ack()
  } catch {
    // The connection is gone: the server hands the message out again by itself.
  }
}

function settingsOf<P extends Principal | Anonymous>(options: ConsumerOptions<P>): Required<ConsumerOptions<P>> {
  checkOptions<ConsumerOptions<P>>('consumer', options, {
    client: true,
    stream: true,
    consumer: true,
    guard: true,
    deadLetter: true,
    prefetch: true,
  })
  const { client, stream, consumer: durable, deadLetter, prefetch = 64 } = options
  const guard = requireGuard('consumer', options.guard)
  requireText('consumer: stream', stream)
  requireText('consumer: consumer', durable)
  requireNumber('consumer: prefetch', prefetch, { min: 1, max: 10_000 })
  if (deadLetter !== dropRefused && !isSubject(requireText('consumer: deadLetter', deadLetter)))
    throw new ConfigurationError('ERR_OPTION_INVALID', 'consumer: deadLetter is a subject without wildcards.')
  return { client, stream, consumer: durable, guard, deadLetter, prefetch: Math.floor(prefetch) }
}
