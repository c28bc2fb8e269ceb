import { codecOf, type Charset } from './charset.ts'
import { UrlError } from './errors.ts'
import { checkText } from './text.ts'

/**
 * Decodes a percent-encoded text: each run of `%XX` is bytes in the charset, everything else stands for itself.
 *
 * Nothing is guessed or passed over. A `%` without two digits, a space, a control character or one beyond US-ASCII is
 * `ERR_URL_MALFORMED`; bytes that are no text in the charset (overlong forms, halves of surrogate pairs) are
 * `ERR_URL_UNDECODABLE`. A `+` stays a `+` (RFC 3986): form data is what `URLSearchParams` reads. The text is decoded
 * once, and may then hold anything, also `/`, `..` and NUL: whoever uses it as a path or name must check it.
 * Throws `ERR_URL_CHARSET_UNKNOWN`, `ERR_URL_NOT_TEXT`, `ERR_URL_TOO_LONG` too.
 */
export function decode(value: string, charset: Charset = 'utf-8'): string {
  const { decode: toText } = codecOf(charset)
  if (!/^(?:[!-$&-~]|%[0-9A-Fa-f]{2})*$/.test(checkText(value))) throw new UrlError('ERR_URL_MALFORMED')
  return value.replaceAll(/(?:%..)+/g, (run) => {
    try {
      return toText(Buffer.from(run.replaceAll('%', ''), 'hex'))
    } catch {
      throw new UrlError('ERR_URL_UNDECODABLE')
    }
  })
}
