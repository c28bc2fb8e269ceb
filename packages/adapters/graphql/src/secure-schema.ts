import { isPromise, MapperKind, mapSchema } from '@graphql-tools/utils'
import type { Refusal } from '@portcullis/core'
import {
  defaultFieldResolver,
  defaultTypeResolver,
  GraphQLInterfaceType,
  GraphQLUnionType,
  type GraphQLFieldConfig,
  type GraphQLResolveInfo,
  type GraphQLSchema,
  type GraphQLTypeResolver,
} from 'graphql'
import { executionOf } from './execution.ts'
import { refusalError } from './refuse.ts'
import type { Rule, Rules } from './rules.ts'

type Config = GraphQLFieldConfig<unknown, unknown>

/**
 * A copy of a schema whose resolvers ask first. Rules stand where the executor resolves, on the concrete type, so no way
 * to write an operation (alias, fragment, interface, variable, `@defer`) goes round them.
 */
export function secureSchema(schema: GraphQLSchema, { fields, types }: Rules): GraphQLSchema {
  const subscription = schema.getSubscriptionType()?.name
  return mapSchema(schema, {
    [MapperKind.OBJECT_FIELD]: (config: Config, name: string, typeName: string): Config => {
      const rule = fields.get(`${typeName}.${name}`)
      if (typeName === subscription) return subscribed(config, rule)
      return rule === undefined ? config : { ...config, resolve: asking(config.resolve ?? defaultFieldResolver, rule) }
    },
    [MapperKind.INTERFACE_TYPE]: (type: GraphQLInterfaceType) =>
      new GraphQLInterfaceType({ ...type.toConfig(), resolveType: telling(type.resolveType, types) }),
    [MapperKind.UNION_TYPE]: (type: GraphQLUnionType) =>
      new GraphQLUnionType({ ...type.toConfig(), resolveType: telling(type.resolveType, types) }),
  })
}

type Resolve = NonNullable<Config['resolve']>

function asking(resolve: Resolve, rule: Rule): Resolve {
  return (source, args, context, info) => {
    const refusal = executionOf(context).judge(rule, args, info)
    if (refusal instanceof Promise)
      return refusal.then((made) => {
        if (made !== undefined) throw refusalError(made)
        return resolve(source, args, context, info)
      })
    if (refusal !== undefined) throw refusalError(refusal)
    return resolve(source, args, context, info)
  }
}

/** Both halves of a subscription: its source is asked for once, and each of its events is an execution. */
function subscribed(config: Config, rule: Rule | undefined): Config {
  const { subscribe, resolve = defaultFieldResolver } = config
  const event = rule === undefined ? resolve : asking(resolve, rule)
  return {
    ...config,
    resolve: (source, args, context, info) => {
      executionOf(context).renew()
      return event(source, args, context, info)
    },
    ...(subscribe !== undefined && {
      subscribe:
        rule === undefined
          ? subscribe
          : asking((source, args, context, info) => footed(rule, args, context, info) && subscribe(source, args, context, info), rule),
    }),
  }
}

function footed(rule: Rule, args: Readonly<Record<string, unknown>>, context: unknown, info: GraphQLResolveInfo): true {
  executionOf(context).footings.push({ rule, action: { action: info.operation.operation, resource: rule.coordinate, attributes: args } })
  return true
}

/** Which concrete type it is, is told only to who may see that type. */
function telling(
  resolveType: GraphQLTypeResolver<unknown, unknown> | null | undefined,
  types: ReadonlyMap<string, Rule>,
): GraphQLTypeResolver<unknown, unknown> {
  const resolve = resolveType ?? defaultTypeResolver
  const tell = (name: string | undefined, refusal: Refusal | undefined): string | undefined => {
    if (refusal !== undefined) throw refusalError(refusal)
    return name
  }
  const judged = (
    name: string | undefined,
    context: unknown,
    info: GraphQLResolveInfo,
  ): string | undefined | Promise<string | undefined> => {
    const rule = name === undefined ? undefined : types.get(name)
    const refusal = rule === undefined ? undefined : executionOf(context).judge(rule, {}, info)
    return refusal instanceof Promise ? refusal.then((made) => tell(name, made)) : tell(name, refusal)
  }
  return (value, context, info, abstractType) => {
    const name = resolve(value, context, info, abstractType)
    return isPromise(name) ? Promise.resolve(name).then((told) => judged(told, context, info)) : judged(name, context, info)
  }
}
