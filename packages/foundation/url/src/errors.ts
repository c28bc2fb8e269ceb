const brand = Symbol.for('portcullis.error')

/** The codes of the errors of `@portcullis/url`, each with its meaning. */
export const urlErrorCodes = {
  ERR_URL_CHARSET_UNKNOWN: 'A charset that this package does not have.',
  ERR_URL_NOT_TEXT: 'Something that is no text was to be encoded or decoded.',
  ERR_URL_TOO_LONG: 'The text is longer than any sound part of a URL.',
  ERR_URL_UNENCODABLE: 'The text has a character that the charset does not have, or half of a surrogate pair.',
  ERR_URL_MALFORMED: 'The text has a percent sign without two hexadecimal digits, or a character that belongs in no URL.',
  ERR_URL_UNDECODABLE: 'The bytes that the text stands for are no text in the charset.',
} as const satisfies Record<`ERR_URL_${string}`, string>

/** One of the keys of {@link urlErrorCodes}. */
export type UrlErrorCode = keyof typeof urlErrorCodes

// What is decoded came from a peer; what is encoded, and the charset, are the caller's.
const peersFault: ReadonlySet<UrlErrorCode> = new Set(['ERR_URL_MALFORMED', 'ERR_URL_UNDECODABLE', 'ERR_URL_TOO_LONG'])

/**
 * The error of `encode` and `decode`. Tell it by `code`; only `publicMessage` may reach a peer. It carries the brand of
 * the project's errors, so `isSecurityError` of `@portcullis/core` knows it. It never holds the text.
 */
export class UrlError extends Error {
  readonly code: UrlErrorCode
  readonly family: 'authentication' | 'configuration'

  constructor(code: UrlErrorCode) {
    super(urlErrorCodes[code])
    this.name = 'UrlError'
    this.code = code
    this.family = peersFault.has(code) ? 'authentication' : 'configuration'
  }

  /** The text that a peer may read. */
  get publicMessage(): string {
    return this.family === 'authentication' ? 'The URL is malformed.' : 'The service is not configured correctly.'
  }

  get [brand](): true {
    return true
  }
}
