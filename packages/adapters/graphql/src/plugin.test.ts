import { EventEmitter, on } from 'node:events'
import { envelop, useEngine, useSchema } from '@envelop/core'
import { guard, secret, type AuditEvent, type Guard, type Principal } from '@portcullis/core'
import { execute, parse, specifiedRules, subscribe, validate, type ExecutionResult } from 'graphql'
import { createSchema } from 'graphql-yoga'
import { describe, expect, it } from 'vitest'
import { accessDirectives, callerOf, guardPlugin } from './plugin.ts'
import { clock, mechanism, revocationOf } from './scene.test-support.ts'

const ticks = new EventEmitter()

/** A server of another make, whose framework runs the guard and keeps the principal of its request. */
function scene(options: Partial<Parameters<typeof guardPlugin<Principal>>[0]> = {}) {
  const events: AuditEvent[] = []
  const policy: Guard<Principal> = guard({ authenticate: mechanism, clock, audit: (event) => void events.push(event) })
  const schema = createSchema({
    typeDefs: `${accessDirectives}
      type Query { hello: String salary: Int @requiresScopes(scopes: [["admin"]]) }
      type Subscription { ticks: Int @authenticated }`,
    resolvers: {
      Query: {
        hello: (_source: unknown, _args: unknown, context: object) => `hello ${callerOf(context).subject ?? 'nobody'}`,
        salary: () => 7,
      },
      Subscription: { ticks: { subscribe: () => on(ticks, 'tick'), resolve: ([number]: [number]) => number } },
    },
  })
  const getEnveloped = envelop({
    plugins: [
      useEngine({ parse, validate, execute, subscribe, specifiedRules }),
      useSchema(schema),
      guardPlugin({ guard: policy, request: ({ request }: { request: object }) => request, ...options }) as never,
    ],
  })
  return {
    events,
    policy,
    ask: async (text: string, request: object): Promise<ExecutionResult | AsyncIterableIterator<ExecutionResult>> => {
      const enveloped = getEnveloped({ request })
      const document = enveloped.parse(text) as ReturnType<typeof parse>
      const errors = enveloped.validate(enveloped.schema, document) as ExecutionResult['errors']
      if (errors !== undefined && errors.length > 0) return { errors }
      const args = { schema: enveloped.schema as never, document, contextValue: await enveloped.contextFactory() }
      return (text.startsWith('subscription') ? enveloped.subscribe(args) : enveloped.execute(args)) as Promise<ExecutionResult>
    },
    /** What the middleware of a framework does. */
    let: async (token: string): Promise<object> => {
      const request = {}
      const decision = await policy.decide({
        credentials: [{ kind: 'bearer', carrier: 'authorization', token: secret(token) }],
        action: 'POST',
        resource: '/graphql',
        attributes: {},
        channel: { from: 'peer', protocol: 'https', secure: true },
      })
      if (decision.outcome !== 'allow') throw new Error(decision.code)
      policy.remember(request, decision.principal)
      return request
    },
  }
}

describe('the plugin in a server of another make', () => {
  it('judges fields by the principal of the native request, and reports what it refuses', async () => {
    const { ask, let: enter, events } = scene()
    expect(await ask('{ hello salary }', await enter('alice'))).toMatchObject({
      data: { hello: 'hello alice', salary: null },
      errors: [{ extensions: { code: 'FORBIDDEN' } }],
    })
    await new Promise((resolve) => setImmediate(resolve))
    expect(events.at(-1)).toMatchObject({ type: 'messageRefused', code: 'ERR_SCOPE_INSUFFICIENT', principal: { subject: 'alice' } })
    expect(await ask('{ hello salary }', await enter('alice.admin'))).toEqual({ data: { hello: 'hello alice', salary: 7 } })
  })

  it('executes nothing for a request that no guard has allowed', async () => {
    const { ask } = scene()
    await expect((async () => ask('{ hello }', {}))()).rejects.toMatchObject({ code: 'ERR_GUARD_NOT_RUN' })
  })

  it('bounds operations and shows of the schema what may be seen', async () => {
    const { ask, let: enter } = scene({ limits: { maxAliases: 1 } })
    await expect((async () => ask('{ a: hello b: hello }', await enter('alice')))()).rejects.toMatchObject({
      extensions: { code: 'LIMIT_EXCEEDED' },
    })
    const shown = await ask('{ __type(name: "Query") { fields { name } } }', await enter('alice'))
    expect(shown).toEqual({ data: { __type: { fields: [{ name: 'hello' }] } } })
    expect(await ask('{ helo }', await enter('alice'))).toMatchObject({
      errors: [{ message: 'Cannot query field "helo" on type "Query".' }],
    })
  })

  it('ends subscriptions with their principal', async () => {
    const { ask, let: enter } = scene()
    const stream = (await ask('subscription { ticks }', await enter('sue'))) as AsyncIterableIterator<ExecutionResult>
    const first = stream.next()
    await new Promise((resolve) => setImmediate(resolve))
    ticks.emit('tick', 1)
    expect(await first).toMatchObject({ value: { data: { ticks: 1 } } })
    const second = stream.next()
    revocationOf('sue').revoke('left')
    ticks.emit('tick', 2)
    expect(await second).toMatchObject({ value: { errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] } })
    expect(await stream.next()).toEqual({ done: true, value: undefined })
    expect(ticks.listenerCount('tick')).toBe(0)
  })

  it('and its schema cannot be executed round it', async () => {
    const { policy } = scene()
    let secured: Parameters<typeof execute>[0]['schema'] | undefined
    guardPlugin({ guard: policy }).onSchemaChange({
      schema: createSchema({ typeDefs: `${accessDirectives} type Query { a: Int @authenticated }`, resolvers: { Query: { a: () => 1 } } }),
      replaceSchema: (schema) => (secured = schema),
    })
    if (secured === undefined) throw new Error('The schema was not taken.')
    const result = await execute({ schema: secured, document: parse('{ a }'), contextValue: {} })
    expect(result).toMatchObject({ data: { a: null }, errors: [{ originalError: { code: 'ERR_GUARD_NOT_RUN' } }] })
  })
})
