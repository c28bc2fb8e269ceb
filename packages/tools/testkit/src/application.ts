import type { Anonymous, Principal } from '@portcullis/core'

import type { Application } from './harness.ts'

/** The application behind the listener under test: it answers with what it saw, and publishes what it is told to. */
export class TestApplication implements Application {
  /** How often a handler ran. */
  calls = 0
  readonly #subscribers = new Set<(text: string) => void>()

  /** How many live connections are registered. */
  get subscribers(): number {
    return this.#subscribers.size
  }

  answer(operation: string, principal: Principal | Anonymous): string {
    this.calls++
    if (operation === 'broken') throw new Error(faultOfTheHandler)
    return answerTo(operation, principal.subject)
  }

  subscribe(_operation: string, _principal: Principal | Anonymous, push: (text: string) => void): () => void {
    this.#subscribers.add(push)
    return () => void this.#subscribers.delete(push)
  }

  publish(text: string): void {
    for (const push of this.#subscribers) push(text)
  }
}

/** What the handler of `broken` throws. */
export const faultOfTheHandler = 'relation orders does not exist at 10.0.0.7'

/** What the application answers to this subject. */
export function answerTo(operation: string, subject = 'anonymous'): string {
  return `${operation} for ${subject}`
}
