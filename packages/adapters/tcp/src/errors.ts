/** The codes of the errors of this package, each with its meaning. */
export const tcpErrorCodes = {
  ERR_TCP_CREDENTIAL: 'The source yields a kind of credential that has no form as a line of text; nothing was sent.',
  ERR_TCP_FIRST_LINE: 'The peer closed, was too slow or wrote too much before its first line was complete.',
  ERR_TCP_HANDLER: 'The handler of a connection threw; the connection was closed.',
} as const satisfies Record<`ERR_TCP_${string}`, string>

/** A code of an error of this package. */
export type TcpErrorCode = keyof typeof tcpErrorCodes
