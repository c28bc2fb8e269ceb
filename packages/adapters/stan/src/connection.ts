import { connect, type Stan, type StanOptions, type Subscription, type SubscriptionOptions } from 'node-nats-streaming'
import type { EventEmitter } from 'node:events'
import type { SecurityError } from '@portcullis/core'
import { codedAs, diagnose } from './diagnose.ts'

/** A connection that lives until it is lost, refused or closed; it is never taken up again, but replaced by a new one. */
export interface StanConnection {
  /** The library's own connection, for whoever wants it itself. */
  readonly stan: Stan
  /** Resolves once the server has stored it. */
  publish(channel: string, data: Uint8Array): Promise<void>
  /** Resolves once the server has taken the subscription. Listen to its messages at once. */
  subscribe(
    channel: string,
    queue: string | undefined,
    options: SubscriptionOptions,
    listen: (subscription: Subscription) => void,
  ): Promise<void>
  /** Whether the server takes a message of this size. */
  fits(channel: string, data: Uint8Array): boolean
  /** Resolves when it should be replaced: there is another credential, or another certificate. */
  readonly due: Promise<void>
  /** Resolves when it is over, with the reason, if it is not that {@link StanConnection.close} was called. */
  readonly ended: Promise<SecurityError | undefined>
  /** Tells the server, so that it keeps the places of durable subscriptions and lets the client identifier go. */
  close(): Promise<void>
}

/** What the library's connection stands on: of NATS, and not among its types. */
interface Underlying extends EventEmitter {
  readonly info?: { readonly max_payload?: number } | null
  readonly stream?: { readonly encrypted?: boolean }
  /** What was received and not looked at yet, with the line in hand. */
  inbound: Buffer | null
  processInbound: () => void
  processServerUpdate: () => void
  close(): void
}

// The library looks at no more of a line.
const longestLine = 4_096
// What the library adds to a message: two identifiers, a GUID, the channel twice, and their tags.
const addedBytes = 256

/** Opens one. Rejects with what the failure means; nothing of it is left then. */
export async function dial(
  clusterId: string,
  clientId: string,
  options: StanOptions,
  timeoutMs: number,
): Promise<Omit<StanConnection, 'due'>> {
  // It never reconnects by itself: each connection has the credential and the certificates of its moment.
  const stan = connect(clusterId, clientId, { ...options, reconnect: false, stanEncoding: 'binary', connectTimeout: timeoutMs })
  // The library's types leave it out; by it alone one hears what is not permitted, and of a loss before the library tells
  // whoever waits for a confirmation that there was no error.
  const { nc } = stan as unknown as { readonly nc: Underlying }
  /** Nothing that is heard now is known to be from the server. */
  const isInClear = (): boolean => options.tls !== false && nc.stream?.encrypted !== true
  // It is called after a greeting. Without it the library knows of no other servers; while it does, it does not tell why
  // one failed, and which are meant was said already.
  nc.processServerUpdate = () => {
    // What follows the greeting in the clear is not from the server, which waits for the handshake (CWE-77, as with STARTTLS).
    if (isInClear()) nc.inbound = nc.inbound?.subarray(0, nc.inbound.indexOf('\n') + 1) ?? null
  }
  const { processInbound } = nc
  nc.processInbound = () => {
    // What the library does with bytes it does in an event of the socket, where a greeting that is no JSON ends the process.
    try {
      // In the clear a server greets. An error there is anybody's word, and would spend a credential that is good.
      if (isInClear() && !'INFO'.startsWith(nc.inbound?.toString('latin1', 0, 4).toUpperCase() ?? '')) throw new Error('no greeting')
      processInbound.call(nc)
    } catch (error) {
      return end(codedAs('ERR_STAN_UNAVAILABLE', error))
    }
    // It waits for ever for the end of a longer one, and keeps all that comes meanwhile.
    if ((nc.inbound?.length ?? 0) > longestLine) end(codedAs('ERR_STAN_UNAVAILABLE'))
  }
  const opened = Promise.withResolvers<void>()
  const ended = Promise.withResolvers<SecurityError | undefined>()
  const waiting = new Map<(error: SecurityError) => void, string>()
  let [open, over, closing] = [false, false, false]

  const end = (why: unknown): void => {
    if (over) return
    over = true
    const meant = why === undefined ? codedAs(closing ? 'ERR_STAN_CLOSED' : 'ERR_STAN_UNAVAILABLE') : diagnose(why)
    opened.reject(meant)
    for (const reject of waiting.keys()) reject(meant)
    ended.resolve(closing ? undefined : meant)
    // Gives up the library's timers; on a dead connection it may throw, and there is nothing left to lose.
    for (const half of [stan, nc])
      try {
        half.close()
      } catch {
        // See above.
      }
  }
  /** A task of the library, which the loss of the connection or a refusal of its subject ends as well. */
  const settled = <T>(subject: string, task: (resolve: (value: T) => void, reject: (error: unknown) => void) => void): Promise<T> => {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    if (over) return Promise.reject(codedAs(closing ? 'ERR_STAN_CLOSED' : 'ERR_STAN_UNAVAILABLE'))
    waiting.set(reject, subject)
    try {
      task(resolve, (error) => reject(diagnose(error)))
    } catch (error) {
      reject(diagnose(error))
    }
    return promise.finally(() => waiting.delete(reject))
  }

  nc.prependListener('close', () => end(undefined))
  nc.on('permission_error', (error: Error) => {
    if (!open) return end(error)
    const [, verb, channel = ''] = /"_STAN\.(pub|sub)\.[^."]+\.?([^"]*)"/.exec(error.message) ?? []
    for (const [reject, subject] of waiting) if (subject === `${verb} ${channel}`) reject(diagnose(error))
  })
  stan.on('connect', () => {
    open = true
    opened.resolve()
  })
  stan.on('error', end)
  stan.on('connection_lost', end)
  stan.on('close', () => end(undefined))
  // The library waits for ever for a server that does not greet.
  const timer = setTimeout(() => end(codedAs('ERR_STAN_UNAVAILABLE')), timeoutMs)
  await opened.promise.finally(() => clearTimeout(timer))

  const fits = (channel: string, data: Uint8Array): boolean =>
    data.length + addedBytes + clientId.length + 2 * channel.length <= (nc.info?.max_payload ?? Number.POSITIVE_INFINITY)
  return {
    stan,
    fits,
    ended: ended.promise,
    publish: (channel, data) =>
      settled<void>(`pub ${channel}`, (resolve, reject) => {
        // The server would end the connection for it.
        if (!fits(channel, data)) throw codedAs('ERR_STAN_MESSAGE')
        stan.publish(channel, data, (error) => (error === undefined ? resolve() : reject(error)))
      }),
    subscribe: (channel, queue, settings, listen) =>
      settled<void>('sub ', (resolve, reject) => {
        const subscription = queue === undefined ? stan.subscribe(channel, settings) : stan.subscribe(channel, queue, settings)
        for (const failure of ['error', 'timeout']) subscription.on(failure, reject)
        subscription.on('ready', () => resolve())
        listen(subscription)
      }),
    async close() {
      if (over) return
      closing = true
      try {
        stan.close()
      } catch {
        // Who has the library's connection may have closed what it stands on.
        end(undefined)
      }
      // Not for the library's own word, which does not come where it fails meanwhile.
      await ended.promise
    },
  }
}
