import { GraphQLError } from 'graphql'

const suggestion = / ?Did you mean .*$/s

/** An error without the names that it would let a caller guess from: "did you mean" lists what introspection may hide. */
export function withoutSuggestions(error: GraphQLError): GraphQLError {
  if (typeof error?.message !== 'string' || !error.message.includes('Did you mean')) return error
  const { nodes, source, positions, path, extensions } = error
  return new GraphQLError(error.message.replace(suggestion, ''), {
    ...(nodes !== undefined && { nodes }),
    ...(source !== undefined && { source }),
    ...(positions !== undefined && { positions }),
    ...(path !== undefined && { path }),
    extensions,
  })
}
