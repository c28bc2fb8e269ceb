import { isUtf8 } from 'node:buffer'
import type { JwtErrorCode } from './errors.ts'
import { parseObject, type JsonObject } from './strict-json.ts'

/**
 * The most characters of a token: 16 KiB, which is what servers take as the whole of a request's header. ML-DSA-87
 * signatures (6,172 characters) and encrypted tokens fit.
 */
export const maxTokenLength = 16_384

/**
 * Memory for bytes that are needed for a moment only, which saves most of what decoding costs. What it hands out is
 * good until it is asked again, so it must not be kept, awaited with, or given to another thread.
 */
class Scratch {
  readonly #bytes = Buffer.allocUnsafeSlow(maxTokenLength)
  // Views by their length; a view takes longer to make than the bytes to decode.
  readonly #views = new Map<number, Buffer>()

  /**
   * As `fromBase64url`, without bytes of its own: only the one canonical spelling is taken, so that a token has exactly
   * one accepted text. The part is no longer than {@link maxTokenLength}.
   */
  decode(part: string): Buffer | undefined {
    const length = this.#bytes.write(part, 0, 'base64url')
    return this.#bytes.toString('base64url', 0, length) === part ? this.#view(length) : undefined
  }

  /** The first characters of a text that is ASCII. */
  ascii(text: string, length: number): Buffer {
    this.#bytes.write(text, 0, length, 'latin1')
    return this.#view(length)
  }

  /** As {@link decodeObject}, without JSON. */
  text(part: string): string | undefined {
    const length = this.#bytes.write(part, 0, 'base64url')
    if (this.#bytes.toString('base64url', 0, length) !== part) return undefined
    return this.#bytes.toString('utf8', 0, length)
  }

  #view(length: number): Buffer {
    const known = this.#views.get(length)
    if (known !== undefined) return known
    // Enough for all lengths that one kind of token has.
    if (this.#views.size >= 256) this.#views.clear()
    const view = this.#bytes.subarray(0, length)
    this.#views.set(length, view)
    return view
  }
}

/** For a signature, while it is verified on this thread. */
export const signatureScratch = new Scratch()
/** For what was signed, while it is verified on this thread. */
export const dataScratch = new Scratch()

const partScratch = new Scratch()
const replacement = '\uFFFD'

/**
 * Decodes a part that is a JSON object: base64url, then UTF-8, then JSON, each in its strict form. The part is no
 * longer than {@link maxTokenLength}.
 */
export function decodeObject(part: string): JsonObject | JwtErrorCode {
  if (part === '') return 'ERR_JWT_MALFORMED'
  const text = partScratch.text(part)
  if (text === undefined) return 'ERR_JWT_BASE64URL'
  // Ill-formed bytes decode to U+FFFD; where it shows up, look whether it was written or made.
  if (text.includes(replacement) && !isUtf8(Buffer.from(part, 'base64url'))) return 'ERR_JWT_UTF8'
  return parseObject(text)
}
