import type { Clock, Guard, ReportedEvent } from '@portcullis/core'
import { mistake } from './mistake.ts'

/** What is known, and what comes about, while one policy is made. */
export class Making {
  readonly clock: Clock
  readonly directory: string
  readonly #inCode: ReadonlyMap<string, unknown>
  readonly #used = new Set<string>()
  readonly #toClose: (() => unknown)[] = []
  readonly #early: ReportedEvent[] = []
  #guard: Guard | undefined

  constructor(clock: Clock, directory: string, inCode: Readonly<Record<string, unknown>>) {
    this.clock = clock
    this.directory = directory
    this.#inCode = new Map(Object.entries(inCode))
  }

  /** What the calling code supplies for options of the table at this path. */
  *inCodeBelow(where: string): Generator<readonly [string, unknown]> {
    for (const [path, value] of this.#inCode) {
      const key = path.startsWith(`${where}.`) ? path.slice(where.length + 1) : ''
      if (!/^[A-Za-z]\w*$/.test(key)) continue
      this.#used.add(path)
      yield [key, value]
    }
  }

  /** A misspelt path would leave what it supplies out: a deny list, say. */
  requireAllUsed(): void {
    for (const path of this.#inCode.keys())
      if (!this.#used.has(path)) throw mistake('ERR_CONFIG_IN_CODE', path, 'stands in `inCode`, and the data have no table for it.')
  }

  /** Stores tell the audit trail of the guard that they are part of; what they say before it is there waits for it. */
  readonly report = (event: ReportedEvent): void => void (this.#guard === undefined ? this.#early.push(event) : this.#guard.report(event))

  reportTo(guard: Guard): void {
    this.#guard = guard
    for (const event of this.#early.splice(0)) guard.report(event)
  }

  /** What was opened for the policy and ends with it. */
  closeLater(close: () => unknown): void {
    this.#toClose.push(close)
  }

  async close(): Promise<void> {
    for (const close of this.#toClose.splice(0).toReversed()) await close()
  }
}
