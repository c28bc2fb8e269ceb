import { invalid } from './options.ts'

/** Text (as UTF-8) or bytes as they are. */
export type TextOrBytes = string | Uint8Array

/** The bytes of the input; a text with lone surrogates is refused, since two such texts could have the same bytes. */
export function toBytes(where: string, input: TextOrBytes): Uint8Array {
  if (typeof input === 'string') {
    if (!input.isWellFormed()) throw invalid(`${where} is no well-formed Unicode text.`)
    return Buffer.from(input, 'utf8')
  }
  if (!(input instanceof Uint8Array)) throw invalid(`${where} must be a text or bytes.`)
  return input
}

/** Decodes base64url without padding; `undefined` unless the text is the one canonical spelling of its bytes. */
export function fromBase64url(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

/** Decodes base64, with or without padding; `undefined` unless alphabet, padding and trailing bits are canonical. */
export function fromBase64(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64')
  const canonical = bytes.toString('base64')
  return canonical === text || canonical.replace(/=+$/, '') === text ? bytes : undefined
}
