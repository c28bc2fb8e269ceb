import { forbid, granted, allOf, anyOf, scope, type Authorizer, type Guard } from '@portcullis/core'
import {
  getNamedType,
  isInputObjectType,
  isEnumType,
  isInterfaceType,
  isObjectType,
  valueFromASTUntyped,
  type ConstDirectiveNode,
  type GraphQLField,
  type GraphQLNamedType,
  type GraphQLSchema,
} from 'graphql'
import { checkedAccess, checkedAlternatives, invalid, type Alternatives, type FieldAccess } from './field-access.ts'
import type { Standing } from './standing.ts'

/**
 * The directives, for schemas written in SDL: `typeDefs: [accessDirectives, …]`. They have the names that the ecosystem
 * knows (Apollo Federation 2.5 and 2.6). On a type they hold for all of its fields, and for all fields that return it;
 * on an interface for all types that implement it.
 */
export const accessDirectives = `
directive @authenticated on FIELD_DEFINITION | OBJECT | INTERFACE | UNION | SCALAR | ENUM
directive @requiresScopes(scopes: [[String!]!]!) on FIELD_DEFINITION | OBJECT | INTERFACE | UNION | SCALAR | ENUM
directive @policy(policies: [[String!]!]!) on FIELD_DEFINITION | OBJECT | INTERFACE | UNION | SCALAR | ENUM
directive @everyone on FIELD_DEFINITION
`

/** What is demanded at one coordinate of the schema. */
export interface Rule {
  /** `Type.field`, or `Type`. */
  readonly coordinate: string
  /** Judged one after the other, until one refuses. */
  readonly guards: readonly Guard[]
  /** Where it has arguments they are judged too, so its decision is that of one field node. */
  readonly hasArguments: boolean
}

/** The rules of a schema. */
export interface Rules {
  /** By `Type.field`, of object types and interfaces. */
  readonly fields: ReadonlyMap<string, Rule>
  /** By type name. */
  readonly types: ReadonlyMap<string, Rule>
  /** Coordinates of root fields that are open to everyone. */
  readonly everyone: ReadonlySet<string>
  /** What fields cost, where it is not 1. */
  readonly complexity: ReadonlyMap<string, number>
}

/** Where rules come from. */
export interface RuleSources {
  readonly guard: Guard
  readonly standing: Standing
  readonly policies: Readonly<Record<string, Authorizer>>
}

type Requirement = Authorizer | Guard
type Annotated = Pick<GraphQLNamedType, 'extensions' | 'astNode'> & {
  readonly extensionASTNodes?: readonly { readonly directives?: readonly ConstDirectiveNode[] | undefined }[]
}

/** Reads the rules of a schema out of its directives and extensions. Throws `ERR_GRAPHQL_RULE_INVALID` for what would check nothing. */
export function rulesOf(schema: GraphQLSchema, sources: RuleSources): Rules {
  const fields = new Map<string, Rule>()
  const types = new Map<string, Rule>()
  const everyone = new Set<string>()
  const complexity = new Map<string, number>()
  const read = new Reader(schema, sources.policies)
  const roots = new Set([schema.getQueryType()?.name, schema.getMutationType()?.name, schema.getSubscriptionType()?.name])
  const ruleOf = (coordinate: string, requirements: readonly Requirement[], hasArguments: boolean): Rule | undefined => {
    const all = [...new Set(requirements)]
    if (all.length === 0) return undefined
    const [first, ...others] = all.filter((one) => typeof one === 'function')
    const guards = all.filter((one) => typeof one !== 'function').map((one) => one.with({ authenticate: sources.standing.mechanism }))
    if (first !== undefined)
      guards.unshift(sources.guard.with({ authenticate: sources.standing.mechanism, authorize: allOf(first, ...others) }))
    return { coordinate, guards, hasArguments }
  }
  for (const type of Object.values(schema.getTypeMap())) {
    if (type.name.startsWith('__')) continue
    read.refuseMisplaced(type)
    const ofType = read.type(type)
    const typeRule = ruleOf(type.name, ofType, false)
    if (typeRule !== undefined) types.set(type.name, typeRule)
    if (!isObjectType(type) && !isInterfaceType(type)) continue
    for (const field of Object.values(type.getFields())) {
      const coordinate = `${type.name}.${field.name}`
      const own = read.access(coordinate, field)
      if (own.complexity !== undefined) complexity.set(coordinate, own.complexity)
      if (own.everyone === true) {
        if (!roots.has(type.name)) throw invalid(`${coordinate}: only root fields can be open to everyone.`)
        if (own.requirements.length > 0) throw invalid(`${coordinate}: what is open to everyone demands nothing else.`)
        everyone.add(coordinate)
      }
      const inherited = type.getInterfaces().flatMap((one) => {
        const same = one.getFields()[field.name]
        return same === undefined ? [] : read.access(`${one.name}.${field.name}`, same).requirements
      })
      const rule = ruleOf(
        coordinate,
        [...(own.everyone === true ? [] : ofType), ...inherited, ...own.requirements, ...read.type(getNamedType(field.type))],
        field.args.length > 0,
      )
      if (rule !== undefined) fields.set(coordinate, rule)
    }
  }
  return { fields, types, everyone, complexity }
}

interface Read {
  readonly requirements: readonly Requirement[]
  readonly everyone?: boolean
  readonly complexity?: number
}

const authenticated: Authorizer = (principal) => (principal.kind === 'principal' ? granted : forbid('authenticated'))
const names: ReadonlySet<string> = new Set(['authenticated', 'requiresScopes', 'policy', 'everyone'])

class Reader {
  readonly #schema: GraphQLSchema
  readonly #policies: ReadonlyMap<string, Authorizer>
  readonly #types = new Map<string, readonly Requirement[]>()
  readonly #known = new Map<string, Authorizer>()

  constructor(schema: GraphQLSchema, policies: Readonly<Record<string, Authorizer>>) {
    this.#schema = schema
    this.#policies = new Map(Object.entries(policies))
  }

  /** What a type demands of its own and by its interfaces. */
  type(type: GraphQLNamedType): readonly Requirement[] {
    let found = this.#types.get(type.name)
    if (found === undefined) {
      const own = this.access(type.name, type).requirements
      const inherited =
        isObjectType(type) || isInterfaceType(type) ? type.getInterfaces().flatMap((one) => this.access(one.name, one).requirements) : []
      this.#types.set(type.name, (found = [...inherited, ...own]))
    }
    return found
  }

  access(coordinate: string, annotated: Annotated | GraphQLField<unknown, unknown>): Read {
    const extension = (annotated.extensions as { readonly portcullis?: FieldAccess } | undefined)?.portcullis
    const requirements: Requirement[] = []
    let everyone = false
    if (extension !== undefined) {
      checkedAccess(coordinate, extension)
      everyone = extension.everyone === true
      if (extension.authenticated) requirements.push(authenticated)
      if (extension.scopes) requirements.push(this.#scopes(extension.scopes))
      if (extension.policies) requirements.push(this.#policy(coordinate, extension.policies))
      if (extension.authorize) requirements.push(extension.authorize)
      if (extension.guard) requirements.push(extension.guard)
    }
    for (const { name, arguments: given } of this.#directives(coordinate, annotated)) {
      const argument = (key: string): Alternatives => {
        const value = given?.find((one) => one.name.value === key)?.value
        return checkedAlternatives(`${coordinate} @${name.value}`, value === undefined ? undefined : valueFromASTUntyped(value))
      }
      if (name.value === 'authenticated') requirements.push(authenticated)
      else if (name.value === 'requiresScopes') requirements.push(this.#scopes(argument('scopes')))
      else if (name.value === 'policy') requirements.push(this.#policy(coordinate, argument('policies')))
      else if (name.value === 'everyone') everyone = true
    }
    return { requirements, everyone, ...(extension?.complexity !== undefined && { complexity: extension.complexity }) }
  }

  /** A rule on an argument, an input or an enum value would be read by nobody. */
  refuseMisplaced(type: GraphQLNamedType): void {
    const refuse = (coordinate: string, { astNode, extensions }: { readonly astNode?: unknown; readonly extensions?: unknown }): void => {
      const directives = (astNode as { readonly directives?: readonly ConstDirectiveNode[] } | undefined | null)?.directives ?? []
      if (
        directives.some(({ name }) => names.has(name.value)) ||
        (extensions as { portcullis?: unknown } | undefined)?.portcullis !== undefined
      )
        throw invalid(`${coordinate}: a rule here would check nothing; put it on a field or an output type.`)
    }
    if (isInputObjectType(type)) {
      refuse(type.name, type)
      for (const field of Object.values(type.getFields())) refuse(`${type.name}.${field.name}`, field)
    }
    if (isEnumType(type)) for (const value of type.getValues()) refuse(`${type.name}.${value.name}`, value)
    if (isObjectType(type) || isInterfaceType(type))
      for (const field of Object.values(type.getFields()))
        for (const argument of field.args) refuse(`${type.name}.${field.name}(${argument.name}:)`, argument)
  }

  #directives(coordinate: string, { astNode, ...rest }: Annotated | GraphQLField<unknown, unknown>): readonly ConstDirectiveNode[] {
    const nodes = [astNode, ...((rest as Annotated).extensionASTNodes ?? [])]
    const directives = nodes.flatMap((node) => node?.directives ?? [])
    // Tools that build schemas do not all validate SDL, so a misspelt @authentcated would be ignored.
    for (const { name } of directives)
      if (this.#schema.getDirective(name.value) === undefined || this.#schema.getDirective(name.value) === null)
        throw invalid(`${coordinate}: there is no directive @${name.value}.`)
    return directives
  }

  #scopes(alternatives: Alternatives): Authorizer {
    return this.#once(`scopes ${JSON.stringify(alternatives)}`, () => either(alternatives, scope))
  }

  #policy(coordinate: string, alternatives: Alternatives): Authorizer {
    return this.#once(`policies ${JSON.stringify(alternatives)}`, () =>
      either(alternatives, (name) => {
        const policy = this.#policies.get(name)
        if (policy === undefined) throw invalid(`${coordinate}: there is no policy "${name}" among \`policies\`.`)
        return policy
      }),
    )
  }

  #once(key: string, make: () => Authorizer): Authorizer {
    let known = this.#known.get(key)
    if (known === undefined) this.#known.set(key, (known = make()))
    return known
  }
}

function either(alternatives: Alternatives, authorizerOf: (name: string) => Authorizer): Authorizer {
  const all = ([first, ...others]: Alternatives[number]): Authorizer => allOf(authorizerOf(first), ...others.map(authorizerOf))
  const [first, ...others] = alternatives
  return anyOf(all(first), ...others.map(all))
}
