import { checkOptions, requireNumber } from '@portcullis/core'

/** What a peer may send, at most. */
export interface HttpLimits {
  /** Characters of the request target, query included; beyond it 414. Default: 4,096, as proxies and browsers manage everywhere. */
  readonly maxTargetLength?: number
  /** Bytes of all header fields together; beyond it 431. Default: 16,384, Node's own: room for one large token and some cookies. */
  readonly maxFieldsBytes?: number
  /** Bytes of the content, counted as they arrive; beyond it 413. Default: 1 MiB: JSON fits, an upload says so. */
  readonly maxContentBytes?: number
  /** Connections at a time; further ones are closed at once. Default: 10,000. */
  readonly maxConnections?: number
  /** Streams at a time on one HTTP/2 connection. Default: 100 (RFC 9113 section 6.5.2 advises no less). */
  readonly maxStreams?: number
}

/** How long a peer may take, in milliseconds. */
export interface HttpTimeouts {
  /** For the header fields, from the first byte of a request. Default: 15,000: slow mobile links manage, a slow-loris does not last. Of HTTP/1.1; over HTTP/2 `idleMs` holds. The TLS handshake has its own bound, in `tls`. */
  readonly fieldsMs?: number
  /** For a whole request, content included, of a stream as of a connection; looked at every 5 seconds at least. Default: 60,000. */
  readonly requestMs?: number
  /** Between two requests of one connection, and without any byte within one. Default: 30,000. */
  readonly idleMs?: number
}

/** {@link HttpLimits} with every default filled in. */
export type ResolvedLimits = Required<HttpLimits>
/** {@link HttpTimeouts} with every default filled in. */
export type ResolvedTimeouts = Required<HttpTimeouts>

/** The defaults of {@link HttpLimits}. */
export const defaultLimits: ResolvedLimits = Object.freeze({
  maxTargetLength: 4096,
  maxFieldsBytes: 16_384,
  maxContentBytes: 1_048_576,
  maxConnections: 10_000,
  maxStreams: 100,
})
/** The defaults of {@link HttpTimeouts}. */
export const defaultTimeouts: ResolvedTimeouts = Object.freeze({ fieldsMs: 15_000, requestMs: 60_000, idleMs: 30_000 })

// Upper bounds: beyond them a limit is none. A gibibyte of content, a day of waiting.
const limitBounds: Readonly<Record<keyof HttpLimits, { min: number; max: number }>> = {
  maxTargetLength: { min: 16, max: 65_536 },
  maxFieldsBytes: { min: 1024, max: 262_144 },
  maxContentBytes: { min: 1, max: 1_073_741_824 },
  maxConnections: { min: 1, max: 1_000_000 },
  maxStreams: { min: 1, max: 10_000 },
}
const timeoutBounds = { min: 10, max: 86_400_000 }

/** Fills in the defaults. Throws `ERR_OPTION_INVALID` for what would switch a limit off. */
export function resolveLimits(limits: HttpLimits = {}): ResolvedLimits {
  checkOptions<HttpLimits>('limits', limits, {
    maxTargetLength: true,
    maxFieldsBytes: true,
    maxContentBytes: true,
    maxConnections: true,
    maxStreams: true,
  })
  const resolved = { ...defaultLimits, ...limits }
  for (const key of Object.keys(defaultLimits) as (keyof HttpLimits)[]) requireNumber(`limits.${key}`, resolved[key], limitBounds[key])
  return resolved
}

/** Fills in the defaults. Throws `ERR_OPTION_INVALID` for what would switch a time-out off. */
export function resolveTimeouts(timeouts: HttpTimeouts = {}): ResolvedTimeouts {
  checkOptions<HttpTimeouts>('timeouts', timeouts, { fieldsMs: true, requestMs: true, idleMs: true })
  const resolved = { ...defaultTimeouts, ...timeouts }
  for (const key of Object.keys(defaultTimeouts) as (keyof HttpTimeouts)[]) requireNumber(`timeouts.${key}`, resolved[key], timeoutBounds)
  return resolved
}
