/** The codes of the errors of this package, each with its meaning. */
export const helloErrorCodes = {
  ERR_HELLO_REFUSED: 'The listener did not accept who the client is, and its source has no other credential.',
  ERR_HELLO_FORBIDDEN: 'The listener does not let this client do that.',
  ERR_HELLO_UNAVAILABLE: 'The listener cannot judge at the moment.',
  ERR_HELLO_CLOSED: 'The connection has ended.',
  ERR_HELLO_LINE: 'What was to be one line holds a line break; nothing was sent.',
  ERR_HELLO_CREDENTIAL: 'The source yields a kind of credential that this protocol has no form for; nothing was sent.',
} as const satisfies Record<`ERR_HELLO_${string}`, string>

/** A code of an error of this package. */
export type HelloErrorCode = keyof typeof helloErrorCodes
