/** The codes of `@portcullis/graphql`, each with its meaning. */
export const graphqlErrorCodes = {
  ERR_GRAPHQL_RULE_INVALID:
    'A directive or an `access()` extension stands where it checks nothing, contradicts another one, or names a policy that does not exist; thrown when the schema is taken.',
  ERR_GRAPHQL_RESOLVER_FAILED: 'A resolver threw something other than a GraphQLError; the peer is told that something unexpected happened.',
  ERR_GRAPHQL_ORIGIN: 'A page of an origin that is not allowed asked for a WebSocket; answered 403 before any credential is judged.',
  ERR_GRAPHQL_UNPROVEN: 'Too many WebSockets wait to be proven; answered 503.',
  ERR_GRAPHQL_CONNECTIONS: 'The principal has too many WebSockets open; answered 429, or closed with 4429.',
  ERR_GRAPHQL_MESSAGE: 'A WebSocket message breaks the protocol or a limit; the connection is closed.',
  ERR_GRAPHQL_UNREAD: 'A peer does not read what is sent to it; the connection is cut.',
  ERR_GRAPHQL_SOCKET_FAILED: 'The transport failed for a reason of ours; the connection is closed with 4500.',
  ERR_GRAPHQL_REFUSED: 'The endpoint did not accept the credential, and the source has no other.',
  ERR_GRAPHQL_FORBIDDEN: 'The endpoint knows the client and does not let it in.',
  ERR_GRAPHQL_UNAVAILABLE: 'The endpoint cannot be reached, or cannot tell at the moment.',
  ERR_GRAPHQL_ANSWER: 'The endpoint answered with something that is no GraphQL result.',
  ERR_GRAPHQL_CREDENTIAL: 'The source yielded a kind of credential that this transport has no place for.',
} as const

/** A code of an error of `@portcullis/graphql`. */
export type GraphqlErrorCode = keyof typeof graphqlErrorCodes
