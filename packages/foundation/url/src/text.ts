import { UrlError } from './errors.ts'

// Servers stop at 8 to 64 KiB for a whole URL; this leaves room for form fields and stays far from costly.
const maxLength = 1_048_576

/** Refuses what is no text or too long; returns it. */
export function checkText(value: string): string {
  if (typeof value !== 'string') throw new UrlError('ERR_URL_NOT_TEXT')
  if (value.length > maxLength) throw new UrlError('ERR_URL_TOO_LONG')
  return value
}
