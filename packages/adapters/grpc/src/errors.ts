/** The codes of the errors of this package, each with its meaning. */
export const grpcErrorCodes = {
  ERR_GRPC_BIND: 'The listener could not be opened at the address that it was given.',
  ERR_GRPC_CALLER: 'A caller was to be named for a call, and what was given is no principal.',
  ERR_GRPC_CREDENTIAL: 'The source yields a kind of credential that gRPC has no metadata for; nothing was sent.',
  ERR_GRPC_CREDENTIAL_CONFLICT:
    'A call brings authorization metadata of its own, and its client has a credential source; nothing was sent.',
  ERR_GRPC_HANDLER: 'The handler of a method threw; its caller was told that the service failed, and nothing else.',
  ERR_GRPC_METHOD_UNKNOWN: 'A guard was given for a service or method that the listener does not have, often a misspelling.',
  ERR_GRPC_PROTOCOL: 'A peer did not agree to HTTP/2 in its handshake; the connection was closed.',
} as const satisfies Record<`ERR_GRPC_${string}`, string>

/** A code of an error of this package. */
export type GrpcErrorCode = keyof typeof grpcErrorCodes
