import { sameCredential, type Clock, type CredentialSource, type Supplied, type Target, type Timer } from '@portcullis/core'
import type { ClientTlsBundle } from '@portcullis/tls'
import { codedAs } from './diagnose.ts'

/** What a connection stands on that may become another while it lives. */
export interface Renewable {
  readonly source: CredentialSource | undefined
  readonly target: Target
  readonly bundle: ClientTlsBundle | undefined
  readonly clock: Clock
  readonly onWarning: ((error: Error) => void) | undefined
}

// Between 70 and 90 per cent of its life, so that many connections do not come at once, and there is time to try again.
const earliestShare = 0.7
const spreadShare = 0.2
// After a failure, and at most so often where a source yields what has all but expired.
const retryMs = 1_000
// New certificates are used within this time, and not by all connections at once.
const reloadSpreadMs = 1_000

/** Resolves when a connection should be made anew, since NATS has no renewal in place; never after it has `ended`. */
export async function dueOf(
  ended: Promise<unknown>,
  supplied: Supplied | undefined,
  { source, target, bundle, clock, onWarning }: Renewable,
): Promise<void> {
  const due = Promise.withResolvers<void>()
  const timers: { renewal?: Timer; reload?: Timer } = {}
  let over = false
  const renewAfter = (delayMs: number, current: Supplied): void => {
    if (!over) timers.renewal = clock.schedule(delayMs, () => void renew(current))
  }
  const plan = (current: Supplied, soonestMs: number): void => {
    if (current.expiresAt === undefined) return
    const leftMs = current.expiresAt.getTime() - clock.now()
    renewAfter(Math.max(soonestMs, leftMs * (earliestShare + Math.random() * spreadShare)), current)
  }
  const renew = async (current: Supplied): Promise<void> => {
    if (source === undefined) return
    try {
      const next = await source({ target })
      if (sameCredential(next.credential, current.credential)) plan(next, retryMs)
      else due.resolve()
    } catch (error) {
      if (!over) onWarning?.(codedAs('ERR_STAN_RENEWAL', error))
      renewAfter(retryMs, current)
    }
  }
  const unsubscribe = bundle?.subscribe((event) => {
    if (event.type === 'reloaded') timers.reload ??= clock.schedule(Math.random() * reloadSpreadMs, due.resolve)
  })
  if (supplied !== undefined) plan(supplied, 0)
  await Promise.race([due.promise, ended])
  over = true
  timers.renewal?.cancel()
  timers.reload?.cancel()
  unsubscribe?.()
  await due.promise
}
