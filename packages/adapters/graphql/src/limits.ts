import { checkOptions, requireNumber } from '@portcullis/core'
import {
  GraphQLError,
  isCompositeType,
  isInterfaceType,
  isObjectType,
  getNamedType,
  Kind,
  type DocumentNode,
  type FragmentDefinitionNode,
  type GraphQLNamedType,
  type GraphQLSchema,
  type SelectionSetNode,
} from 'graphql'

/** What one operation may ask for. What is beyond is answered with `LIMIT_EXCEEDED` before anything is validated or resolved. */
export interface GraphqlLimits {
  /** Tokens of a document. Default: 2,000: several times what a large page asks for; the introspection of common tools has about 250. */
  readonly maxTokens?: number
  /** Fields within fields, introspection not counted (the library bounds that). Default: 12. */
  readonly maxDepth?: number
  /** Aliases, each fragment counted where it is spread. Default: 30: with aliases one request is many. */
  readonly maxAliases?: number
  /** Directives, counted likewise. Default: 50. */
  readonly maxDirectives?: number
  /** The sum of what the fields cost: 1, or their `access({ complexity })`. Default: 1,000. */
  readonly maxComplexity?: number
}

/** The defaults of {@link GraphqlLimits}. */
export const defaultGraphqlLimits: Required<GraphqlLimits> = Object.freeze({
  maxTokens: 2_000,
  maxDepth: 12,
  maxAliases: 30,
  maxDirectives: 50,
  maxComplexity: 1_000,
})

/** Fills in what was not said, and refuses what makes no sense. */
export function resolveGraphqlLimits(limits: GraphqlLimits = {}): Required<GraphqlLimits> {
  checkOptions<GraphqlLimits>('graphql limits', limits, {
    maxTokens: true,
    maxDepth: true,
    maxAliases: true,
    maxDirectives: true,
    maxComplexity: true,
  })
  const all = { ...defaultGraphqlLimits, ...limits }
  for (const name of Object.keys(defaultGraphqlLimits) as (keyof GraphqlLimits)[])
    requireNumber(`graphql limits.${name}`, all[name], { min: 1, max: 1_000_000 })
  return all
}

interface Size {
  readonly depth: number
  readonly aliases: number
  readonly directives: number
  readonly complexity: number
}

/** The first limit that a document exceeds, as an error for the peer. Takes time in proportion to the text, however fragments multiply. */
export function exceeded(
  document: DocumentNode,
  limits: Required<GraphqlLimits>,
  schema: GraphQLSchema,
  complexity: ReadonlyMap<string, number>,
): GraphQLError | undefined {
  const measure = new Measure(document, schema, complexity)
  for (const definition of document.definitions) {
    if (definition.kind !== Kind.OPERATION_DEFINITION) continue
    const root =
      definition.operation === 'query'
        ? schema.getQueryType()
        : definition.operation === 'mutation'
          ? schema.getMutationType()
          : schema.getSubscriptionType()
    const size = measure.of(definition.selectionSet, root ?? undefined)
    if (measure.cyclic) return limitError('The operation spreads a fragment within itself.')
    if (size.depth > limits.maxDepth) return limitError(`The operation is deeper than ${limits.maxDepth} levels.`)
    if (size.aliases > limits.maxAliases) return limitError(`The operation has more than ${limits.maxAliases} aliases.`)
    if (size.directives > limits.maxDirectives) return limitError(`The operation has more than ${limits.maxDirectives} directives.`)
    if (size.complexity > limits.maxComplexity) return limitError(`The operation is more complex than ${limits.maxComplexity}.`)
  }
  return undefined
}

/** What is answered to an operation that asks for too much. */
export function limitError(message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code: 'LIMIT_EXCEEDED', http: { status: 400 } } })
}

class Measure {
  cyclic = false
  readonly #schema: GraphQLSchema
  readonly #complexity: ReadonlyMap<string, number>
  readonly #fragments = new Map<string, FragmentDefinitionNode>()
  /** Each fragment is measured once; `open` while it is. */
  readonly #measured = new Map<string, Size | 'open'>()

  constructor(document: DocumentNode, schema: GraphQLSchema, complexity: ReadonlyMap<string, number>) {
    this.#schema = schema
    this.#complexity = complexity
    for (const definition of document.definitions)
      if (definition.kind === Kind.FRAGMENT_DEFINITION) this.#fragments.set(definition.name.value, definition)
  }

  of({ selections }: SelectionSetNode, type: GraphQLNamedType | undefined): Size {
    let [depth, aliases, directives, complexity] = [0, 0, 0, 0]
    const add = (size: Size, levels: number): void => {
      depth = Math.max(depth, size.depth + levels)
      aliases += size.aliases
      directives += size.directives
      complexity += size.complexity
    }
    for (const selection of selections) {
      directives += selection.directives?.length ?? 0
      if (selection.kind === Kind.FRAGMENT_SPREAD) add(this.#spread(selection.name.value), 0)
      else if (selection.kind === Kind.INLINE_FRAGMENT) {
        const condition = selection.typeCondition?.name.value
        add(this.of(selection.selectionSet, condition === undefined ? type : this.#schema.getType(condition)), 0)
      } else {
        const name = selection.name.value
        if (selection.alias !== undefined) aliases++
        complexity += this.#complexity.get(`${type?.name}.${name}`) ?? 1
        const field = isObjectType(type) || isInterfaceType(type) ? type.getFields()[name] : undefined
        const below = field === undefined ? undefined : getNamedType(field.type)
        if (selection.selectionSet === undefined) depth = Math.max(depth, 1)
        else {
          const size = this.of(selection.selectionSet, isCompositeType(below) ? below : undefined)
          add(size, name === '__schema' || name === '__type' ? 1 - size.depth : 1)
        }
      }
    }
    return { depth, aliases, directives, complexity }
  }

  #spread(name: string): Size {
    const known = this.#measured.get(name)
    if (known === 'open') this.cyclic = true
    if (known === undefined) {
      const fragment = this.#fragments.get(name)
      this.#measured.set(name, 'open')
      const size =
        fragment === undefined ? nothing : this.of(fragment.selectionSet, this.#schema.getType(fragment.typeCondition.name.value))
      this.#measured.set(name, size)
      return size
    }
    return known === 'open' ? nothing : known
  }
}

const nothing: Size = { depth: 0, aliases: 0, directives: 0, complexity: 0 }
