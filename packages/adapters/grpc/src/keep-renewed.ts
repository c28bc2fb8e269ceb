import { Metadata, status, type StatusObject } from '@grpc/grpc-js'
import { sameCredential, type Clock, type Credential, type Supplied, type Timer } from '@portcullis/core'
import { heed, present } from './present.ts'
import { renewalKey } from './renewal.ts'

/** What {@link keepRenewed} takes. */
export interface KeepRenewedOptions {
  /** The stream's, as its server knows it. */
  readonly name: string
  readonly credential: Credential
  readonly expiresAt: Date
  readonly clock: Clock
  readonly supply: (refused: Credential | undefined) => Supplied | Promise<Supplied>
  readonly renew: (metadata: Metadata) => Promise<StatusObject>
}

// As long before the end as a listener warns; a token that lives shorter is renewed at half its life.
const renewBeforeMs = 60_000
// A source that still gives the old credential is asked again, at half of what is left, but not more often than this.
const shortestWaitMs = 1_000

/**
 * Renews the credential of a stream ahead of each expiry, as long as the source has a better one and the server takes
 * it. Returns how to stop. A failure is no end yet: the server's clock decides.
 */
export function keepRenewed({ name, credential, expiresAt, clock, supply, renew }: KeepRenewedOptions): () => void {
  let held = credential
  let expiresAtMs = expiresAt.getTime()
  let refused: Credential | undefined
  let stopped = false
  let timer: Timer | undefined

  const wait = (delayMs: number): void => {
    if (!stopped) timer = clock.schedule(delayMs, () => void attempt().catch(later))
  }
  const later = (): void => {
    const leftMs = expiresAtMs - clock.now()
    if (leftMs > shortestWaitMs) wait(Math.max(shortestWaitMs, leftMs / 2))
  }
  const attempt = async (): Promise<void> => {
    const askedAtMs = clock.now()
    const supplied = await supply(refused)
    if (stopped) return undefined
    if (sameCredential(supplied.credential, held) || (refused !== undefined && sameCredential(supplied.credential, refused))) return later()
    const metadata = new Metadata()
    present(metadata, supplied.credential)
    metadata.set(renewalKey, name)
    const final = await renew(metadata)
    if (stopped || final.code === status.UNIMPLEMENTED || final.code === status.NOT_FOUND) return undefined
    if (final.code !== status.OK) {
      if (heed(final) === 'refused') refused = supplied.credential
      return later()
    }
    held = supplied.credential
    refused = undefined
    if (supplied.expiresAt === undefined) return undefined
    expiresAtMs = supplied.expiresAt.getTime()
    return ahead(askedAtMs)
  }
  // By the time it was asked for, and not when the server's answer came: at no point later than the listener warns.
  const ahead = (heldAtMs: number): void => wait(Math.max(expiresAtMs - renewBeforeMs, (heldAtMs + expiresAtMs) / 2) - clock.now())
  ahead(clock.now())
  return () => {
    stopped = true
    timer?.cancel()
  }
}
