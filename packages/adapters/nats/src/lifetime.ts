import type { Anonymous, Guard, Principal, SecurityError } from '@portcullis/core'
import { attempting } from './attempts.ts'
import { diagnose } from './diagnose.ts'

/** A consumer or subscriber that runs. */
export interface NatsConsumer {
  /** Resolves after {@link NatsConsumer.close}; rejects when the server refuses to go on. It lives through outages. */
  readonly ended: Promise<void>
  /** Stops. A message of a stream that waits to be judged or whose handler runs is handed out again by the server. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** What keeps a consumer or subscriber going. */
export interface Lifetime {
  /** Aborts when it is closed. */
  readonly signal: AbortSignal
  /** Tells the audit trail. */
  readonly warn: (code: string, message: string, cause?: unknown) => void
  /** Its connection is over: after an outage it opens anew, for as long as it takes; anything else is the end. */
  readonly lost: (why: unknown) => void
  /** Opens for the first time. */
  start(): Promise<NatsConsumer>
}

// A service that starts waits for its server about ten seconds, and then says so.
const firstAttempts = 6
// At half a minute each, longer than any machine runs.
const forever = 1_000_000_000

/** Makes one out of what opens a connection and what releases everything. */
export function lifetime(
  name: string,
  guard: Guard<Principal | Anonymous>,
  { open, release }: { readonly open: () => Promise<void>; readonly release: () => Promise<void> },
): Lifetime {
  const stop = new AbortController()
  const { signal } = stop
  const ended = Promise.withResolvers<void>()
  // Whoever does not look at it still finds the end in the audit trail.
  ended.promise.catch(() => undefined)
  const warn = (code: string, message: string, cause?: unknown): void =>
    guard.report({ type: 'warning', protocol: 'nats', code, message, ...(cause !== undefined && { cause }) })
  let closing: Promise<void> | undefined
  const close = (): Promise<void> =>
    (closing ??= (async () => {
      stop.abort()
      await release()
      ended.resolve()
    })())
  const openUnlessClosed = async (): Promise<void> => {
    if (!signal.aborted) await open()
  }
  const again = async (why: unknown): Promise<void> => {
    try {
      const cause = diagnose(why)
      if (cause.family !== 'unavailable') throw cause
      // A source or key server that is out of reach has a code of its own; it is told all the same.
      warn(cause.code, `${name} connects anew.`, cause)
      await attempting(forever, openUnlessClosed, signal)
      // It was closed while it opened: what has been opened since is released as well.
      if (signal.aborted) await release()
    } catch (error) {
      end(diagnose(error))
    }
  }
  const end = (error: SecurityError): void => {
    if (signal.aborted) return
    guard.report({ type: 'sessionEnded', protocol: 'nats', code: error.code, message: `${name} has ended.`, cause: error })
    ended.reject(error)
    void close()
  }
  return {
    signal,
    warn,
    lost: (why) => {
      if (!signal.aborted) void again(why)
    },
    async start() {
      try {
        await attempting(firstAttempts, open)
      } catch (error) {
        await close()
        throw error
      }
      return { ended: ended.promise, close, [Symbol.asyncDispose]: close }
    },
  }
}
