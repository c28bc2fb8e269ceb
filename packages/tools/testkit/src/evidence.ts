import { inspect } from 'node:util'

import type { AuditEvent } from '@portcullis/core'

/**
 * Everything that a scenario lets see: answers, audit events, errors, lines of output. It is searched for the secrets
 * that the scenario made.
 */
export class Evidence {
  readonly events: AuditEvent[] = []
  readonly #secrets = new Set<string>()
  readonly #seen: { readonly where: string; readonly text: string }[] = []

  /** Text that must be seen nowhere. */
  secret(text: string): void {
    this.#secrets.add(text)
    // The signature is what turns known claims into a token.
    const signature = text.split('.')[2]
    if (signature !== undefined && signature.length > 16) this.#secrets.add(signature)
  }

  saw(where: string, what: unknown): void {
    this.#seen.push({ where, text: typeof what === 'string' ? what : inspect(what, { depth: 12, getters: true, showHidden: true }) })
  }

  /** Whether some secret is in this. */
  holdsSecret(text: string): boolean {
    return [...this.#secrets].some((secret) => text.includes(secret))
  }

  /** Fails, naming the places and not the secret. */
  expectNoSecrets(): void {
    const all = [
      ...this.#seen,
      ...this.events.map((event) => ({
        where: `audit event "${event.type}"`,
        text: `${JSON.stringify(event)}${inspect(event, { depth: 12, getters: true, showHidden: true })}`,
      })),
    ]
    const places = new Set(all.filter(({ text }) => this.holdsSecret(text)).map(({ where }) => where))
    if (places.size > 0) throw new Error(`A secret was seen in: ${[...places].join(', ')}.`)
  }

  /** Keeps what is printed from here on, and prints it all the same; returns how to stop. */
  watchOutput(): () => void {
    const restore: (() => void)[] = []
    const watch = <K extends string>(where: string, target: Record<K, (...values: never[]) => unknown>, name: K): void => {
      const original = target[name]
      target[name] = (...values) => {
        for (const value of values as unknown[]) this.saw(where, value instanceof Uint8Array ? Buffer.from(value).toString() : value)
        return Reflect.apply(original, target, values)
      }
      restore.push(() => void (target[name] = original))
    }
    for (const name of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const) watch(`console.${name}`, console, name)
    for (const name of ['stdout', 'stderr'] as const) watch(name, process[name], 'write')
    return () => restore.forEach((undo) => undo())
  }
}
