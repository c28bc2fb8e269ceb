import { codecOf, type Charset } from './charset.ts'
import { UrlError } from './errors.ts'
import { checkText } from './text.ts'

/**
 * Percent-encodes a text so that it stands for itself anywhere in a URL: in a path segment, a query or a fragment.
 *
 * Letters, digits and `-._~` stay as they are (RFC 3986 section 2.3); every other run of characters becomes the bytes
 * that it has in the charset, as `%` and two upper-case digits each. A whole URL is not what goes in here: its `:`, `/`
 * and `?` would be encoded too. Throws `ERR_URL_UNENCODABLE` rather than writing `?` for what a charset does not have,
 * `ERR_URL_CHARSET_UNKNOWN`, `ERR_URL_NOT_TEXT`, `ERR_URL_TOO_LONG`.
 */
export function encode(value: string, charset: Charset = 'utf-8'): string {
  const { encode: toBytes } = codecOf(charset)
  if (!checkText(value).isWellFormed()) throw new UrlError('ERR_URL_UNENCODABLE')
  return value.replaceAll(/[^A-Za-z0-9\-._~]+/g, (run) => {
    try {
      return Buffer.from(toBytes(run)).toString('hex').toUpperCase().replaceAll(/../g, '%$&')
    } catch {
      throw new UrlError('ERR_URL_UNENCODABLE')
    }
  })
}
