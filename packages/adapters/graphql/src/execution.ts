import {
  ConfigurationError,
  type AccessRequest,
  type Action,
  type Anonymous,
  type Decision,
  type Principal,
  type Refusal,
} from '@portcullis/core'
import type { GraphQLResolveInfo } from 'graphql'
import type { Admission } from './admission.ts'
import type { GraphqlErrorCode } from './errors.ts'
import type { Rule } from './rules.ts'

type Outcome = Refusal | undefined

/** Something that a subscription rests on: judged again when the rights of its session change. */
export interface Footing {
  readonly rule: Rule
  readonly action: Action
}

/** One operation on its way, or one event of a subscription: what was decided in it, so that each rule is judged once. */
export class Execution {
  readonly admission: Admission
  /** What the source stream of a subscription was allowed by. */
  readonly footings: Footing[] = []
  #decided = new Map<Rule, Map<object, Outcome | Promise<Outcome>>>()

  constructor(admission: Admission) {
    this.admission = admission
  }

  get principal(): Principal | Anonymous {
    return this.admission.principal()
  }

  /** An event of a subscription is an execution of its own: what was decided before counts no more. */
  renew(): void {
    this.#decided = new Map()
  }

  /** The refusal at a coordinate, or `undefined` if it is allowed; the same for all places of the operation that ask for the same. */
  judge(rule: Rule, args: Readonly<Record<string, unknown>>, info: GraphQLResolveInfo): Outcome | Promise<Outcome> {
    let places = this.#decided.get(rule)
    if (places === undefined) this.#decided.set(rule, (places = new Map()))
    // Variables do not change within an execution, so the arguments are the same wherever the node is the same.
    const place = (rule.hasArguments && info.fieldNodes[0]) || rule
    if (places.has(place)) return places.get(place)
    const outcome = this.#judge(rule, { action: info.operation.operation, resource: rule.coordinate, attributes: args })
    places.set(place, outcome)
    return outcome
  }

  #judge({ guards }: Rule, action: Action): Outcome | Promise<Outcome> {
    const from = (start: number): Outcome | Promise<Outcome> => {
      for (let at = start; at < guards.length; at++) {
        const decision = this.#decide(guards[at] as Rule['guards'][number], action)
        if (decision instanceof Promise) return decision.then((made) => (made.outcome === 'allow' ? from(at + 1) : made))
        if (decision.outcome !== 'allow') return decision
      }
      return undefined
    }
    return from(0)
  }

  #decide(guard: Rule['guards'][number], action: Action): Decision | Promise<Decision> {
    const { access, standing } = this.admission
    const { principal } = this
    if (access !== undefined) {
      const { credentials, channel } = access
      const request: AccessRequest = { ...action, credentials, channel }
      return guard.decide(standing.vouch(request, principal))
    }
    const decision = guard.authorize(principal, action)
    return decision instanceof Promise ? decision.then((made) => this.#report(made)) : this.#report(decision)
  }

  /** Without a channel there is no decision event; a refusal is reported all the same. */
  #report(decision: Decision): Decision {
    if (decision.outcome !== 'allow')
      this.admission.guard.report({ type: 'messageRefused', protocol: 'graphql', principal: this.principal, code: decision.code })
    return decision
  }
}

const executions = new WeakMap<object, Execution>()

/** Begins an execution with this context. */
export function beginExecution(context: object, admission: Admission): Execution {
  const execution = new Execution(admission)
  executions.set(context, execution)
  return execution
}

/** The execution that a resolver runs in. Throws `ERR_GUARD_NOT_RUN` where the schema is executed without the plugin. */
export function executionOf(context: unknown): Execution {
  const execution = typeof context === 'object' && context !== null ? executions.get(context) : undefined
  if (execution === undefined)
    throw new ConfigurationError<GraphqlErrorCode | 'ERR_GUARD_NOT_RUN'>(
      'ERR_GUARD_NOT_RUN',
      'A guarded schema was executed without its plugin; nobody was asked who comes.',
    )
  return execution
}

/**
 * Who is asking, in a resolver: of every field, also of one that is open to everyone. Where only proven callers come,
 * `principalOf(guard, context)` has the type of the guard. Throws `ERR_GUARD_NOT_RUN` without the plugin.
 */
export function callerOf(context: object): Principal | Anonymous {
  return executionOf(context).principal
}
