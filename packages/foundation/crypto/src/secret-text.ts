import { invalid } from './options.ts'

/** A password or passphrase: plain text, or anything that hands it out by `reveal()`, such as core's `Secret`. */
export type SecretText = string | { reveal(): string }

/** Hands out the text of a secret; anything that is no secret is an error that does not show the value. */
export function revealText(where: string, secret: SecretText): string {
  const text: unknown = typeof secret === 'object' && secret !== null && typeof secret.reveal === 'function' ? secret.reveal() : secret
  if (typeof text !== 'string') throw invalid(`${where} must be a text or a secret.`)
  return text
}
