import { GraphQLError, type DocumentNode, type ExecutionArgs, type GraphQLSchema } from 'graphql'
import { admission, type Admission } from './admission.ts'
import { limitError } from './limits.ts'
import { refusals } from './refuse.ts'

/** What runs a prepared operation. */
export interface Runner {
  execute(args: ExecutionArgs): unknown
  subscribe(args: ExecutionArgs): unknown
}

/** An operation's functions, with all plugins in them. */
export interface Enveloped extends Runner {
  readonly schema: GraphQLSchema
  parse(source: string): DocumentNode
  validate(schema: GraphQLSchema, document: DocumentNode): readonly GraphQLError[]
  contextFactory(): unknown
}

interface Payload {
  readonly query: string
  readonly operationName?: string | null | undefined
  readonly variables?: Record<string, unknown> | null | undefined
}

/** Prepares an operation of a WebSocket as one of a request is: parsed, bounded, validated, with a context of its own. */
export async function operationOf(
  enveloped: (context: object) => Enveloped,
  admitted: Admission,
  { query, operationName, variables }: Payload,
  runners: WeakMap<object, Runner>,
  tooMany: boolean,
): Promise<ExecutionArgs | readonly GraphQLError[]> {
  if (tooMany) return [limitError('There are too many operations on this connection.')]
  const made = enveloped({ [admission]: admitted, params: { query, operationName, variables } })
  try {
    const document = made.parse(query)
    const errors = made.validate(made.schema, document)
    if (errors.length > 0) return errors
    const contextValue = await made.contextFactory()
    // It may have taken a while, and nobody hears of the answer: what was asked for before is not begun after the end.
    if (admitted.session?.ended !== undefined) return [new GraphQLError(refusals.invalid.message)]
    runners.set(contextValue as object, made)
    return { schema: made.schema, document, contextValue, operationName: operationName ?? null, variableValues: variables ?? null }
  } catch (error) {
    // What cannot be read, or asks for too much.
    if (error instanceof GraphQLError) return [error]
    throw error
  }
}
