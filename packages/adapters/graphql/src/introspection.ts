import { MapperKind, mapSchema, pruneSchema } from '@graphql-tools/utils'
import type { Anonymous, Principal } from '@portcullis/core'
import { GraphQLSchema, Kind, visit, type DocumentNode, type FragmentDefinitionNode, type SelectionSetNode } from 'graphql'
import type { Rules } from './rules.ts'

type Party = Principal | Anonymous

// Views of a schema, one for each set of rights that came; with more sets than this the oldest are made again.
const maxViews = 64

/** What introspection shows: for each caller the part of the schema that the policy lets it see. */
export class Views {
  readonly #schema: GraphQLSchema
  readonly #rules: Rules
  readonly #views = new Map<string, GraphQLSchema | undefined>()

  constructor(schema: GraphQLSchema, rules: Rules) {
    this.#schema = schema
    this.#rules = rules
  }

  /** The part that this party may see; `undefined` if that is nothing. A rule that cannot be judged hides what it covers. */
  async of(principal: Party): Promise<GraphQLSchema | undefined> {
    const rules = [...this.#rules.types.values(), ...this.#rules.fields.values()]
    const visible = await Promise.all(
      rules.map(async ({ coordinate, guards }) => {
        for (const guard of guards) {
          const action = { action: 'introspect', resource: coordinate, attributes: {} }
          if ((await guard.authorize(principal, action)).outcome !== 'allow') return false
        }
        return true
      }),
    )
    const hidden = rules.filter((_, at) => visible[at] !== true).map(({ coordinate }) => coordinate)
    if (hidden.length === 0) return this.#schema
    const key = hidden.join(' ')
    if (!this.#views.has(key)) {
      if (this.#views.size >= maxViews) this.#views.delete(this.#views.keys().next().value ?? '')
      this.#views.set(key, withoutCoordinates(this.#schema, new Set(hidden)))
    }
    return this.#views.get(key)
  }
}

function withoutCoordinates(schema: GraphQLSchema, hidden: ReadonlySet<string>): GraphQLSchema | undefined {
  const part = mapSchema(schema, {
    [MapperKind.TYPE]: (type) => (hidden.has(type.name) ? null : undefined),
    [MapperKind.COMPOSITE_FIELD]: (_config, name, typeName) => (hidden.has(`${typeName}.${name}`) ? null : undefined),
  })
  if (!part.getQueryType()) return undefined
  // A type may now lack what its interface has; it is only looked at.
  return new GraphQLSchema({ ...pruneSchema(part).toConfig(), assumeValid: true })
}

const introspectionFields: ReadonlySet<string> = new Set(['__schema', '__type'])

/** What a document asks of the root of the schema. */
export interface RootFields {
  /** Names of root fields of all its operations, with the operation that asks. */
  readonly fields: readonly { readonly operation: 'query' | 'mutation' | 'subscription'; readonly name: string }[]
  /** Whether `__schema` or `__type` stands anywhere. */
  readonly introspects: boolean
}

/** Collects root fields, whatever fragments they stand in and whatever variables say of them. */
export function rootFieldsOf(document: DocumentNode): RootFields {
  const fragments = new Map<string, FragmentDefinitionNode>()
  for (const definition of document.definitions)
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition)
  const fields: { operation: 'query' | 'mutation' | 'subscription'; name: string }[] = []
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue
    const seen = new Set<string>()
    const walk = ({ selections }: SelectionSetNode): void => {
      for (const selection of selections) {
        if (selection.kind === Kind.FIELD) fields.push({ operation: definition.operation, name: selection.name.value })
        else if (selection.kind === Kind.INLINE_FRAGMENT) walk(selection.selectionSet)
        else if (!seen.has(selection.name.value)) {
          seen.add(selection.name.value)
          const fragment = fragments.get(selection.name.value)
          if (fragment !== undefined) walk(fragment.selectionSet)
        }
      }
    }
    walk(definition.selectionSet)
  }
  let introspects = false
  // Anywhere: a field may give the query type again (`viewer { query { __schema … } }`).
  visit(document, { Field: ({ name }) => void (introspects ||= introspectionFields.has(name.value)) })
  return { fields, introspects }
}
