/**
 * Percent-encoding and -decoding of the parts of a URL, in a charset of your choice, without guessing.
 *
 * Not for parsing or building whole URLs (use `URL`), nor for form data (use `URLSearchParams`). If all your peers
 * speak UTF-8, `encodeURIComponent` does for encoding; what it lacks is strictness when decoding, and other charsets.
 */
export { encode } from './encode.ts'
export { decode } from './decode.ts'
export type { Charset } from './charset.ts'
export { UrlError, urlErrorCodes } from './errors.ts'
export type { UrlErrorCode } from './errors.ts'
