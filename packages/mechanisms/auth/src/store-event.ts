import type { ReportedEvent } from '@portcullis/core'

/**
 * Hears of what a store cannot keep to itself: `storeFailing`, at once and every minute while it lasts,
 * `storeRecovered`, and `warning`. Hand it on to the audit trail: `report: (event) => guard.report(event)`.
 *
 * It is never called before the store that reports has been returned, so that the guard made from it may be named in
 * it. What it throws is dropped.
 */
export type StoreReport = (event: ReportedEvent) => void

/** Calls `report` a moment later, and lets nothing that it throws come back. */
export function reportLater(report: StoreReport | undefined, event: ReportedEvent): void {
  if (report === undefined) return
  setImmediate(() => {
    try {
      report(event)
    } catch {
      // A subscriber's fault is not the store's.
    }
  })
}
