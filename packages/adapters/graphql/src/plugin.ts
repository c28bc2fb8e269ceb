/**
 * The guard as a plugin for graphql-yoga and every other Envelop server. It judges fields, shows of the schema what the
 * policy lets each caller see, bounds operations and ends subscriptions. It does not judge requests: put `protect` of
 * `@portcullis/http` before the server, or take `graphql()` of this package, which does both.
 */
import {
  AuthSession,
  checkOptions,
  ConfigurationError,
  principalOf,
  requireFunction,
  requireGuard,
  type Anonymous,
  type Authorizer,
  type Guard,
  type Principal,
} from '@portcullis/core'
import { GraphQLError, parse, type DocumentNode, type ExecutionArgs, type ExecutionResult, type GraphQLSchema } from 'graphql'
import { admission, type Admission, type AdmittedContext } from './admission.ts'
import { beginExecution, type Execution } from './execution.ts'
import { rootFieldsOf, Views, type RootFields } from './introspection.ts'
import { exceeded, limitError, resolveGraphqlLimits, type GraphqlLimits } from './limits.ts'
import { refusalError, refusals } from './refuse.ts'
import { rulesOf, type Rules } from './rules.ts'
import { secureSchema } from './secure-schema.ts'
import { standingOf } from './standing.ts'
import { GuardedStream } from './stream.ts'
import { withoutSuggestions } from './suggestions.ts'

export { access } from './field-access.ts'
export type { AccessExtension, Alternatives, FieldAccess } from './field-access.ts'
export { callerOf } from './execution.ts'
export { accessDirectives } from './rules.ts'
export type { GraphqlLimits } from './limits.ts'

type Party = Principal | Anonymous

/** How the rules of a schema are kept. */
export interface RulesOptions {
  /** What `@policy` names: `policies: { owner: (principal, { attributes }) => … }`. */
  readonly policies?: Readonly<Record<string, Authorizer>>
  readonly limits?: GraphqlLimits
  /** `visible` (the default) shows to each caller what it may see; `none` refuses introspection. */
  readonly introspection?: 'visible' | 'none'
}

/** What {@link guardPlugin} takes. */
export interface PluginOptions<P extends Party = Party> extends RulesOptions {
  readonly guard: Guard<P>
  /**
   * The native request in the context of an operation, for which the guard has run: `({ request }) => request`. Default:
   * the context is that of `graphql()`. Throws `ERR_GUARD_NOT_RUN` where the guard has not.
   */
  readonly request?: (context: never) => object
}

/** The hooks of an Envelop plugin that are used here; graphql-yoga and every Envelop server take it as a plugin. */
export interface GuardPlugin {
  onSchemaChange(event: { readonly schema: GraphQLSchema; readonly replaceSchema: (schema: GraphQLSchema) => void }): void
  onParse(event: {
    readonly context: object
    readonly setParseFn: (parseFn: (source: string | object, options?: object) => DocumentNode) => void
  }): (done: { readonly result: unknown }) => void
  onValidate(): (done: { readonly result: readonly unknown[]; readonly setResult: (errors: GraphQLError[]) => void }) => void
  onExecute(event: {
    readonly args: ExecutionArgs
    readonly executeFn: (args: ExecutionArgs) => unknown
    readonly setExecuteFn: (executeFn: (args: ExecutionArgs) => unknown) => void
    readonly setResultAndStopExecution: (result: ExecutionResult) => void
  }): unknown
  onSubscribe(event: { readonly args: ExecutionArgs }): unknown
}

/** Makes the plugin. Throws a `ConfigurationError` for a missing guard, unknown options, and, with the schema, for rules that would check nothing. */
export function guardPlugin<P extends Party>(options: PluginOptions<P>): GuardPlugin {
  checkOptions<PluginOptions<P>>('guardPlugin', options, { guard: true, request: true, policies: true, limits: true, introspection: true })
  if (Object.hasOwn(options, 'request')) requireFunction('guardPlugin request', options.request)
  return new Plugin(options) // the guard's type of principal is only for its callers
}

/** The plugin, with what the endpoint of this package asks of it. */
export class Plugin implements GuardPlugin {
  readonly guard: Guard
  readonly standing: Admission['standing']
  readonly #policies: Readonly<Record<string, Authorizer>>
  readonly #limits: Required<GraphqlLimits>
  readonly #introspection: 'visible' | 'none'
  readonly #request: ((context: never) => object) | undefined
  #taken: { readonly schema: GraphQLSchema; readonly rules: Rules; readonly views: Views } | undefined
  readonly #secured = new WeakSet<GraphQLSchema>()
  /** What was found out about documents; servers keep parsed ones, so this is done once for each. */
  readonly #documents = new WeakMap<DocumentNode, RootFields | GraphQLError>()

  constructor({ guard, policies = {}, limits, introspection = 'visible', request }: PluginOptions) {
    this.guard = requireGuard('guardPlugin', guard) as Guard
    if (introspection !== 'visible' && introspection !== 'none')
      throw new ConfigurationError('ERR_OPTION_INVALID', '`introspection` is "visible" or "none".')
    for (const [name, policy] of Object.entries(policies)) requireFunction(`policies.${name}`, policy)
    this.#policies = policies
    this.#limits = resolveGraphqlLimits(limits)
    this.#introspection = introspection
    this.#request = request
    this.standing = standingOf(this.guard)
  }

  /** Whether anything is open to everyone. */
  get opensToEveryone(): boolean {
    return this.#taken !== undefined && this.#taken.rules.everyone.size > 0
  }

  // Servers call hooks without their plugin, so these are no methods.
  readonly onSchemaChange: GuardPlugin['onSchemaChange'] = ({ schema, replaceSchema }) => {
    if (this.#secured.has(schema)) return
    const rules = rulesOf(schema, { guard: this.guard, standing: this.standing, policies: this.#policies })
    const secured = secureSchema(schema, rules)
    this.#secured.add(secured)
    this.#taken = { schema: secured, rules, views: new Views(secured, rules) }
    replaceSchema(secured)
  }

  readonly onParse: GuardPlugin['onParse'] = ({ context, setParseFn }) => {
    const { maxTokens } = this.#limits
    setParseFn((source, parseOptions) => parse(source as string, { ...parseOptions, maxTokens }))
    const admitted = (context as AdmittedContext)[admission]
    return ({ result }) => {
      const root = isDocument(result) ? this.#look(result) : undefined
      if (admitted?.refusal !== undefined) {
        const opened = root !== undefined && !(root instanceof GraphQLError) && this.#isOpen(root)
        admitted.opened = opened
        // Thrown, not put in the result's place: servers keep results of parsing, and the next caller is another one.
        if (!opened) throw refusalError(admitted.refusal)
      }
      if (root instanceof GraphQLError) throw root
      if (result instanceof GraphQLError && tooManyTokens.test(result.message))
        throw limitError(`The document has more than ${maxTokens} tokens.`)
    }
  }

  readonly onValidate: GuardPlugin['onValidate'] = () => {
    return ({ result, setResult }) => {
      if (result.length > 0) setResult((result as GraphQLError[]).map(withoutSuggestions))
    }
  }

  readonly onExecute: GuardPlugin['onExecute'] = ({ args, executeFn, setExecuteFn, setResultAndStopExecution }) => {
    const execution = this.#begin(args)
    const done = { onExecuteDone: ({ result, setResult }: Done) => setResult(cleaned(result)) }
    const root = this.#look(args.document)
    // A server may execute what it has not parsed here.
    if (root instanceof GraphQLError) throw root
    if (!root.introspects) return done
    return this.#taken?.views.of(execution.principal).then((view) => {
      if (view === undefined)
        setResultAndStopExecution({ errors: [new GraphQLError(refusals.forbidden.message, { extensions: { code: 'FORBIDDEN' } })] })
      else setExecuteFn((given) => executeFn({ ...given, schema: view }))
      return done
    })
  }

  readonly onSubscribe: GuardPlugin['onSubscribe'] = ({ args }) => {
    const execution = this.#begin(args)
    return {
      onSubscribeResult: ({ result, setResult }: Done) => setResult(isStream(result) ? guarded(result, execution) : cleaned(result)),
    }
  }

  #begin(args: ExecutionArgs): Execution {
    const context = args.contextValue as object
    const admitted = (context as AdmittedContext)[admission] ?? this.#admissionOf(context)
    const principal = admitted.principal()
    if (admitted.refusal === undefined) this.guard.remember(context, principal)
    return beginExecution(context, admitted)
  }

  /** In a server that is not ours somebody else has run the guard. */
  #admissionOf(context: object): Admission {
    if (this.#request === undefined)
      throw new ConfigurationError(
        'ERR_GUARD_NOT_RUN',
        'The plugin does not know whose operation this is: give it `request`, or mount the server by graphql().',
      )
    const principal = principalOf(this.guard, this.#request(context as never))
    return { guard: this.guard, standing: this.standing, principal: () => principal }
  }

  /** Measures a document, and finds its root fields. */
  #look(document: DocumentNode): RootFields | GraphQLError {
    const known = this.#documents.get(document)
    if (known !== undefined) return known
    if (this.#taken === undefined) throw new ConfigurationError('ERR_GUARD_NOT_RUN', 'There is no schema yet.')
    const { schema, rules } = this.#taken
    const found = exceeded(document, this.#limits, schema, rules.complexity) ?? this.#introspecting(rootFieldsOf(document))
    this.#documents.set(document, found)
    return found
  }

  /** Introspection is answered from another schema than data, so the two do not come in one operation. */
  #introspecting(root: RootFields): RootFields | GraphQLError {
    if (!root.introspects) return root
    if (this.#introspection === 'none') return limitError('Introspection is not allowed here.')
    return root.fields.every(({ name }) => name.startsWith('__'))
      ? root
      : limitError('Introspection and data cannot be asked for in one operation.')
  }

  /** Whoever was refused may ask for what is open to everyone, and for nothing beside it. */
  #isOpen({ fields }: RootFields): boolean {
    if (this.#taken === undefined) return false
    const { schema, rules } = this.#taken
    const types = {
      query: schema.getQueryType()?.name,
      mutation: schema.getMutationType()?.name,
      subscription: schema.getSubscriptionType()?.name,
    }
    return fields.length > 0 && fields.every(({ operation, name }) => rules.everyone.has(`${types[operation]}.${name}`))
  }
}

// The parser has no other word for it: "Document contains more that 2000 tokens."
const tooManyTokens = / more tha[nt] \d+ tokens/

interface Done {
  readonly result: unknown
  readonly setResult: (result: never) => void
}

function isDocument(value: unknown): value is DocumentNode {
  return typeof value === 'object' && value !== null && (value as { kind?: unknown }).kind === 'Document'
}

function isStream(value: unknown): value is AsyncIterableIterator<ExecutionResult> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

function cleaned(result: unknown): never {
  const { errors } = result as ExecutionResult
  return (errors === undefined ? result : { ...(result as ExecutionResult), errors: errors.map(withoutSuggestions) }) as never
}

/** Puts a stream under the clock of its connection, or under one of its own. */
function guarded(source: AsyncIterableIterator<ExecutionResult>, execution: Execution): never {
  const { admission: admitted, footings } = execution
  const stream = new GuardedStream(source)
  const { access, guard } = admitted
  const session =
    admitted.session ??
    new AuthSession<Party>({
      guard: guard,
      principal: admitted.principal(),
      action: access ?? { action: 'subscription', resource: 'graphql', attributes: {} },
      protocol: 'graphql',
      ...(access?.channel.from === 'peer' && access.channel.remoteAddress !== undefined && { remoteAddress: access.channel.remoteAddress }),
      onEnd: (reason) => stream.end(reason),
    })
  const unwatch = footings.flatMap(({ rule, action }) =>
    rule.guards.map((one) => session.watch({ guard: one, action, onEnd: (refusal) => stream.refuse(refusal) })),
  )
  stream.lasts(
    () => session.ended === undefined,
    () => {
      for (const stop of unwatch) stop()
      if (session !== admitted.session) session.close()
    },
  )
  return stream as never
}
