import { createHash, timingSafeEqual } from 'node:crypto'
import { inspect } from 'node:util'
import { ConfigurationError } from './errors.ts'

const brand = Symbol.for('portcullis.secret')

/**
 * Text that must not be printed: a password, a token, a passphrase.
 *
 * It shows as `[secret]` in string conversion, JSON and `util.inspect`; {@link Secret.reveal} is the one way out,
 * so that a search for `.reveal(` lists every place where a secret is used. It guards against accidents, not against
 * code in the same process: the text stays in memory until it is collected.
 */
export class Secret {
  readonly #text: string

  constructor(text: string) {
    this.#text = text
  }

  /** True for the secrets of every copy of this package in the process. */
  get [brand](): true {
    return true
  }

  /** Hands out the text. */
  reveal(): string {
    return this.#text
  }

  /** Compares with another secret in a time that does not depend on where the two differ. */
  equals(other: Secret | string): boolean {
    const text = typeof other === 'string' ? other : other.reveal()
    return this.#text.length === text.length && timingSafeEqual(digest(this.#text), digest(text))
  }

  toString(): string {
    return '[secret]'
  }

  toJSON(): string {
    return '[secret]'
  }

  [inspect.custom](): string {
    return '[secret]'
  }
}

/**
 * Wraps text as a {@link Secret}; a secret passes as it is. Throws `ERR_OPTION_INVALID` for anything else, `undefined`
 * above all: a variable of the environment that is not set is no secret. Empty text is one, for a peer may send it;
 * who needs more says so where it is used.
 */
export function secret(text: string | Secret): Secret {
  if (typeof text === 'string') return new Secret(text)
  if (isSecret(text)) return text
  throw new ConfigurationError(
    'ERR_OPTION_INVALID',
    `secret() takes text, not ${text === null ? 'null' : typeof text}; is the variable set that it comes from?`,
  )
}

/** Tells a {@link Secret}, also one made by another copy of this package. */
export function isSecret(value: unknown): value is Secret {
  return typeof value === 'object' && value !== null && (value as { [brand]?: unknown })[brand] === true
}

// Both sides are digested, so that the bytes compared have one length whatever the peer sent.
function digest(text: string): Buffer {
  return createHash('sha256').update(text, 'utf8').digest()
}
