import { checkOptions, requireNumber, secret as asSecret, type Secret } from '@portcullis/core'
import { equalConstantTime, hkdf, hmac, randomBytes } from '@portcullis/crypto'
import { mistake } from './errors.ts'

/** Issues nonces and knows them again (RFC 9449 section 9). Made by {@link dpopNonces}. */
export interface DpopNonces {
  /** The nonce to use from now on. */
  current(nowMs: number): string
  /** Whether a nonce is the current one, or the one before it. */
  accepts(nonce: string, nowMs: number): boolean
}

const periodBytes = 6
const tagBytes = 16

/**
 * Makes nonces that need no memory: each is a period of time and a keyed digest of it. A proof that has one was made
 * within the last two periods, whatever its maker's clock says.
 *
 * `secret`, at least 32 characters from a random generator, makes several instances take each other's. Default: one of
 * this process. `lifetimeSeconds` is the period, from 1 to 86,400. Default: 300.
 */
export function dpopNonces(options: { readonly secret?: string | Secret; readonly lifetimeSeconds?: number } = {}): DpopNonces {
  checkOptions<{ secret?: string | Secret; lifetimeSeconds?: number }>('dpopNonces', options, { secret: true, lifetimeSeconds: true })
  const periodMs = requireNumber('dpopNonces lifetimeSeconds', options.lifetimeSeconds ?? 300, { min: 1, max: 86_400 }) * 1000
  const key = keyOf(options.secret)
  const ofPeriod = (period: number): string => {
    const bytes = Buffer.alloc(periodBytes)
    bytes.writeUIntBE(period, 0, periodBytes)
    return Buffer.concat([bytes, hmac('sha256', key, bytes).subarray(0, tagBytes)]).toString('base64url')
  }
  let latest = { period: -1, nonce: '', before: '' }
  const at = (nowMs: number): typeof latest => {
    const period = Math.floor(nowMs / periodMs)
    if (latest.period !== period) latest = { period, nonce: ofPeriod(period), before: ofPeriod(Math.max(0, period - 1)) }
    return latest
  }
  return Object.freeze({
    current: (nowMs: number) => at(nowMs).nonce,
    accepts: (given: string, nowMs: number) => {
      const { nonce, before } = at(nowMs)
      return equalConstantTime(given, nonce) || equalConstantTime(given, before)
    },
  })
}

function keyOf(secret: string | Secret | undefined): Buffer {
  if (secret === undefined) return randomBytes(32)
  const text = asSecret(secret).reveal()
  if (text.length < 32) throw mistake('ERR_OPTION_INVALID', 'dpopNonces secret must have at least 32 characters, from a random generator.')
  // So that the same secret may serve for something else, too.
  return hkdf('sha256', { secret: text, info: 'portcullis dpop nonce', length: 32 })
}
