import { systemClock, type Clock, type Timer } from './clock.ts'
import { SingleFlight } from './cache.ts'
import type { Credential } from './credential.ts'
import { ConfigurationError, isSecurityError, UnavailableError } from './errors.ts'
import { tell } from './listeners.ts'
import { checkOptions, requireNumber, requireTexts } from './options.ts'
import { backoffMs } from './retry.ts'
import { isSecret } from './secret.ts'
import type { CredentialSource, SourceRequest, Supplied, Target } from './source.ts'

/** Options of {@link cached}. */
export interface CachedOptions {
  /** How long before its expiry a credential is fetched anew. Default: {@link defaultRefreshAheadMs}, at most a fifth of its life. */
  readonly refreshAheadMs?: number
  /** Life of a credential that has no expiry of its own, in milliseconds. Default: one hour (O-9). */
  readonly defaultLifetimeMs?: number
  readonly clock?: Clock
  /** A number from 0 to 1; for tests. */
  readonly random?: () => number
}

/** Thirty seconds ahead covers a slow fetch and clocks that differ a little. */
export const defaultRefreshAheadMs = 30_000
/** For how many targets one `cached` source keeps credentials: those that it was made for are a configuration, not a crowd. */
export const maxTargets = 1_000

interface Kept {
  readonly supplied: Supplied
  readonly refreshAtMs: number
  readonly expiresAtMs: number
}

/**
 * Reuses what a source yields, per target, until shortly before it expires. Wrapping twice does no harm.
 *
 * Concurrent callers share one fetch. Ahead of expiry, with a random spread of a tenth so that many instances do not
 * come at once, it fetches in the background while the old credential still serves; if that fails, the old one serves
 * until it expires. A credential that a peer refused is fetched anew once, however many callers report it; who reports
 * one that has been replaced already gets the new one.
 *
 * Takes only sources whose credentials depend on nothing but the target: bound and delegated sources do not compile.
 */
export function cached(source: CredentialSource, options: CachedOptions = {}): CredentialSource {
  checkOptions<CachedOptions>('cached', options, { refreshAheadMs: true, defaultLifetimeMs: true, clock: true, random: true })
  const { refreshAheadMs = defaultRefreshAheadMs, defaultLifetimeMs = 3_600_000, clock = systemClock, random = Math.random } = options
  requireNumber('refreshAheadMs', refreshAheadMs, { min: 0, max: 86_400_000 })
  requireNumber('defaultLifetimeMs', defaultLifetimeMs, { min: 1, max: 366 * 86_400_000 })
  const kept = new Map<string, Kept>()
  const flights = new SingleFlight<string, Supplied>()

  const fetchAnew = (target: Target, refused: Credential | undefined, signal: AbortSignal | undefined): Promise<Supplied> => {
    const key = keyOf(target)
    return flights.run(
      key,
      async (flightSignal) => {
        const supplied = await source({ target, signal: flightSignal, ...(refused !== undefined && { refused }) })
        const now = clock.now()
        const expiresAtMs = supplied.expiresAt?.getTime() ?? now + defaultLifetimeMs
        const ahead = Math.min(refreshAheadMs, (expiresAtMs - now) / 5)
        kept.delete(key)
        if (kept.size >= maxTargets)
          for (const oldest of kept.keys()) {
            kept.delete(oldest)
            break
          }
        kept.set(key, { supplied, expiresAtMs, refreshAtMs: expiresAtMs - ahead * (1 + random() / 10) })
        return supplied
      },
      signal,
    )
  }

  return ({ target, signal, refused }) => {
    const present = kept.get(keyOf(target))
    const now = clock.now()
    if (present === undefined || present.expiresAtMs <= now) return fetchAnew(target, refused, signal)
    if (refused !== undefined && sameCredential(present.supplied.credential, refused)) {
      return fetchAnew(target, refused, signal).then((supplied) => {
        if (sameCredential(supplied.credential, refused))
          throw new UnavailableError('ERR_SOURCE_EXHAUSTED', {
            message: `The source has no other credential for ${target.origin} than the one that was refused.`,
          })
        return supplied
      })
    }
    // The failure of a refresh ahead of time is no failure yet: the old credential serves until it expires.
    if (present.refreshAtMs <= now) fetchAnew(target, undefined, undefined).catch(() => undefined)
    return present.supplied
  }
}

/** A credential that is there when it is asked for, without waiting. Made by {@link keepWarm}. */
export interface WarmCredential {
  /** The credential worth sending now. Throws `ERR_SOURCE_NOT_READY` before the first, and when the last one is over. */
  current(): Supplied
  /** Settles when the first credential is there; rejects if the source refuses to give one. */
  ready(): Promise<void>
  /** Calls `listener` with each new credential; returns how to stop. */
  subscribe(listener: (supplied: Supplied) => void): () => void
  /** Says which credential was refused; another is fetched, once. */
  refuse(credential: Credential): void
  /** Ends the fetching. */
  close(): void
  [Symbol.dispose](): void
}

/** Options of {@link keepWarm}. */
export interface KeepWarmOptions extends CachedOptions {
  /** The first delay after a fetch that failed or brought nothing new; doubles up to {@link maxRetryMs}. Default: 1,000. */
  readonly retryMs?: number
  /** Hears of failed fetches; the last good credential serves on meanwhile. */
  readonly onFailure?: (error: unknown) => void
}

/** A minute: a source that is down is asked again soon enough, and not hammered. */
export const maxRetryMs = 60_000

/**
 * Keeps a source's credential for one target fresh in the background, for libraries whose authenticators cannot wait.
 *
 * It fetches at once, renews ahead of expiry, keeps the last good credential while it is valid, and tries again with a
 * bounded, jittered back-off when a fetch fails. Its timer does not keep the process alive.
 */
export function keepWarm(source: CredentialSource, target: Target, options: KeepWarmOptions = {}): WarmCredential {
  checkOptions<KeepWarmOptions>('keepWarm', options, {
    refreshAheadMs: true,
    defaultLifetimeMs: true,
    clock: true,
    random: true,
    retryMs: true,
    onFailure: true,
  })
  const {
    refreshAheadMs = defaultRefreshAheadMs,
    defaultLifetimeMs = 3_600_000,
    clock = systemClock,
    random = Math.random,
    retryMs = 1_000,
    onFailure,
  } = options
  requireNumber('retryMs', retryMs, { min: 1, max: maxRetryMs })
  const listeners = new Set<(supplied: Supplied) => void>()
  const stop = new AbortController()
  let present: { readonly supplied: Supplied; readonly expiresAtMs: number } | undefined
  let timer: Timer | undefined
  // How often in a row nothing new came of asking.
  let fruitless = 0
  let fetching: Promise<void> | undefined

  const wait = (delayMs: number): void => {
    timer?.cancel()
    if (!stop.signal.aborted) timer = clock.schedule(delayMs, () => void fetchNow().catch(() => undefined))
  }
  const waitInVain = (): void => wait(backoffMs(fruitless++, retryMs, maxRetryMs, random))
  const fetchNow = (refused?: Credential): Promise<void> => {
    fetching ??= (async () => {
      try {
        const supplied = await source({ target, signal: stop.signal, ...(refused !== undefined && { refused }) })
        if (stop.signal.aborted) return
        const now = clock.now()
        const expiresAtMs = supplied.expiresAt?.getTime() ?? now + defaultLifetimeMs
        const changed = present === undefined || !sameCredential(present.supplied.credential, supplied.credential)
        const sameAsBefore = !changed && expiresAtMs === present?.expiresAtMs
        present = { supplied, expiresAtMs }
        // A source that caches by itself gives the old one while it fetches the next; that one is there in a moment.
        if (sameAsBefore) waitInVain()
        else {
          fruitless = 0
          wait(Math.max(retryMs, expiresAtMs - Math.min(refreshAheadMs, (expiresAtMs - now) / 5) * (1 + random() / 10) - now))
        }
        if (changed) tell(listeners, supplied)
      } catch (error) {
        if (stop.signal.aborted) return
        waitInVain()
        onFailure?.(error)
        throw error
      } finally {
        fetching = undefined
      }
    })()
    return fetching
  }
  const first = fetchNow()
  // Whoever wants to know asks ready(); until then a failure is not an unhandled one.
  first.catch(() => undefined)

  return {
    current() {
      if (present !== undefined && present.expiresAtMs > clock.now()) return present.supplied
      throw new UnavailableError('ERR_SOURCE_NOT_READY', {
        message:
          present === undefined
            ? `No credential for ${target.origin} has been fetched yet.`
            : `The last credential for ${target.origin} has expired, and fetching another fails.`,
      })
    },
    ready: () => (present === undefined ? (fetching ?? fetchNow()) : Promise.resolve()),
    subscribe(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    refuse(credential) {
      if (present !== undefined && sameCredential(present.supplied.credential, credential)) fetchNow(credential).catch(() => undefined)
    },
    close() {
      timer?.cancel()
      stop.abort()
      listeners.clear()
    },
    [Symbol.dispose]() {
      this.close()
    },
  }
}

/**
 * The check that every source begins with: is this a target that it was made for, over a secure channel? Targets are
 * origins, compared exactly after normalisation. Throws `ERR_SOURCE_TARGET` or `ERR_SOURCE_INSECURE`.
 */
export function forTargets(where: string, targets: readonly string[]): (request: Pick<SourceRequest, 'target'>) => void {
  const known = new Set(requireTexts(`${where} targets`, targets).map(originOf))
  return ({ target }) => {
    if (!target.secure)
      throw new ConfigurationError(
        'ERR_SOURCE_INSECURE',
        `${where}: no credential is sent over a channel that is not secure (${target.origin}).`,
      )
    if (!known.has(originOf(target.origin)))
      throw new ConfigurationError('ERR_SOURCE_TARGET', `${where} was made for ${[...known].join(', ')}, not for ${target.origin}.`)
  }
}

/** Whether two credentials say the same; secrets are compared in constant time. */
export function sameCredential(a: Credential, b: Credential): boolean {
  if (a === b) return true
  // Kinds are open to merging, so only their shape is known here: a record of texts, bytes and secrets.
  const left = a as unknown as Record<string, unknown>
  const right = b as unknown as Record<string, unknown>
  const keys = Object.keys(left)
  if (keys.length !== Object.keys(right).length) return false
  return keys.every((key) => {
    const one = left[key]
    const other = right[key]
    if (isSecret(one)) return isSecret(other) && one.equals(other)
    return one instanceof Uint8Array ? other instanceof Uint8Array && Buffer.compare(one, other) === 0 : one === other
  })
}

/** True for an error that says that no other credential can be had; a client then gives up rather than repeats. */
export function isExhausted(error: unknown): boolean {
  return isSecurityError(error, 'ERR_SOURCE_EXHAUSTED')
}

function keyOf(target: Target): string {
  return `${target.secure ? 's' : 'p'}${target.shared === true ? 's' : 'o'} ${target.origin}`
}

/** Scheme, host and port of a URL-like text, in one spelling: how targets are compared. Throws `ERR_OPTION_INVALID` for what has no host. */
export function originOf(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.host === '')
    throw new ConfigurationError('ERR_OPTION_INVALID', `"${text}" is not an origin such as https://orders.example.`)
  return `${url.protocol}//${url.host}`
}
