/** What the tests of this package share: a mechanism, a schema with rules of every kind, and requests of no client. */
import { request as nodeRequest } from 'node:https'
import { manualClock } from '@portcullis/core/testing'
import { secureClientOptions, type ClientTlsBundle } from '@portcullis/tls'
import { developmentTls, type DevelopmentTls } from '@portcullis/tls/development'
import { credentialOf, Revocation, UnavailableError, type AuditEvent } from '@portcullis/core'
import { createSchema } from 'graphql-yoga'
import { WebSocket } from 'ws'
import {
  accessDirectives,
  anyOf,
  authenticator,
  forbid,
  granted,
  guard,
  notMine,
  principalOf,
  refused,
  serve,
  vouchForPrincipal,
  type Authorizer,
  type GraphqlListener,
  type GraphqlOptions,
  type Guard,
  type Principal,
} from './index.ts'

export const clock = manualClock(Date.UTC(2026, 0, 1))

/** Tokens are `subject`, `subject:scope+scope`, `subject:scopes:seconds`; `down` stands for an outage. */
export const mechanism = authenticator(
  'tokens',
  ({ credentials }) => {
    const token = credentialOf(credentials, 'bearer')?.token.reveal()
    if (token === undefined) return notMine
    if (token === 'down') throw new UnavailableError('ERR_TEST_DOWN', { message: 'down', retryAfterMs: 7_000 })
    if (token === 'bad') return refused('ERR_TEST_BAD')
    const [subject = '', scopes = '', seconds] = token.split('.')
    return vouchForPrincipal({
      issuer: 'tests',
      subject,
      scopes: scopes.split('~').filter((one) => one !== ''),
      revocations: [revocationOf(subject)],
      ...(seconds !== undefined && { expiresAt: new Date(clock.now() + Number(seconds) * 1000) }),
    })
  },
  [{ scheme: 'Bearer', parameters: { realm: 'tests' } }],
)

/** API keys, whose text is the subject. */
const keys = authenticator('keys', ({ credentials }) => {
  const key = credentialOf(credentials, 'apiKey')?.key.reveal()
  return key === undefined ? notMine : vouchForPrincipal({ issuer: 'tests', subject: key })
})

const revocations = new Map<string, Revocation>()
export function revocationOf(subject: string): Revocation {
  let known = revocations.get(subject)
  if (known === undefined || known.revoked) revocations.set(subject, (known = new Revocation()))
  return known
}

export const typeDefs = /* GraphQL */ `
  ${accessDirectives}
  interface Node {
    id: ID! @requiresScopes(scopes: [["nodes"]])
    name: String
  }
  interface Hidden @requiresScopes(scopes: [["hidden"]]) {
    note: String
  }
  type User implements Node {
    id: ID!
    name: String
    salary: Int @requiresScopes(scopes: [["hr", "read"], ["admin"]])
    boss: User
    self: Query
  }
  type Secret implements Node @requiresScopes(scopes: [["secret"]]) {
    id: ID!
    name: String
    plan: String
  }
  type Memo implements Hidden {
    note: String
  }
  enum Rank @requiresScopes(scopes: [["ranks"]]) {
    HIGH
    LOW
  }
  union Anything = User | Secret
  input Filter {
    color: Color
  }
  enum Color {
    CRIMSON
    AZURE
  }
  type Query {
    hello: String
    user: User
    users: [User]
    node(secret: Boolean): Node
    anything(secret: Boolean): Anything
    list: [Anything]
    memo: Memo
    rank: Rank
    salary: Int @authenticated @requiresScopes(scopes: [["admin"]])
    required: Int! @requiresScopes(scopes: [["admin"]])
    order(id: Int!): String @policy(policies: [["owner"]])
    colored(filter: Filter): String
    fails: String
    health: String @everyone
  }
  type Mutation {
    pay: Int @requiresScopes(scopes: [["pay"]])
    count: Int
    login: String @everyone
  }
  type Subscription {
    ticks: Tick
    secretTicks: Tick @requiresScopes(scopes: [["ticks"]])
    broken: Int
    news: Int @everyone
  }
  type Tick {
    number: Int
    detail: String @requiresScopes(scopes: [["detail"]])
  }
`

/** What ran, in order. */
export const ran: string[] = []
/** How often each policy was asked. */
export const asked: string[] = []

const user = { __typename: 'User', id: 'u1', name: 'Ann', salary: 5, boss: { __typename: 'User', id: 'u2', name: 'Bo', salary: 9 } }
const secret = { __typename: 'Secret', id: 's1', name: 'Manhattan', plan: 'boom' }
const noting =
  <T>(name: string, value: T) =>
  (): T => {
    ran.push(name)
    return value
  }
/** Publishes to every subscription. */
export const publish = (number: number): void => listeners.forEach((listener) => listener(number))
export const listeners = new Set<(number: number) => void>()

/** A source that ends at once when it is told to, as a generator does not while it waits. */
function live(): AsyncIterableIterator<{ ticks: object; secretTicks: object; news: number }> {
  const queue: number[] = []
  const state = { over: false, wake: (): void => undefined }
  const listener = (number: number): void => {
    queue.push(number)
    state.wake()
  }
  listeners.add(listener)
  return {
    async next() {
      while (queue.length === 0 && !state.over) await new Promise<void>((resolve) => (state.wake = resolve))
      const number = queue.shift()
      if (number === undefined) return { done: true, value: undefined }
      const tick = { number, detail: `detail ${number}` }
      return { done: false, value: { ticks: tick, secretTicks: tick, news: number } }
    },
    async return() {
      state.over = true
      listeners.delete(listener)
      state.wake()
      return { done: true, value: undefined }
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

export const policies: Readonly<Record<string, Authorizer>> = {
  owner: (principal, { attributes }) => {
    asked.push(`owner ${String(attributes['id'])}`)
    return principal.kind === 'principal' && attributes['id'] === 1 ? granted : forbid('owner')
  },
}

export const resolvers = {
  Query: {
    hello: (_source: unknown, _args: unknown, context: object) => `hello ${principalOf(policy(), context).subject}`,
    user: noting('user', { ...user, self: {} }),
    users: () => [user, user],
    node: (_source: unknown, args: { readonly secret?: boolean }) => (args.secret === true ? secret : user),
    anything: (_source: unknown, args: { readonly secret?: boolean }) => (args.secret === true ? secret : user),
    list: () => [user, secret],
    memo: noting('memo', { note: 'n' }),
    rank: noting('rank', 'HIGH'),
    salary: noting('salary', 7),
    required: noting('required', 7),
    order: (_source: unknown, { id }: { readonly id: number }) => `order ${id}`,
    colored: () => 'colored',
    fails: () => {
      throw new Error('relation users does not exist at 10.0.0.7')
    },
    health: () => 'up',
  },
  Mutation: { pay: noting('pay', 1), count: noting('count', 2), login: () => 'welcome' },
  Subscription: {
    ticks: { subscribe: live },
    secretTicks: { subscribe: live },
    news: { subscribe: live },
    broken: {
      subscribe: async function* () {
        yield { broken: 1 }
        throw new Error('cursor lost at 10.0.0.7')
      },
    },
  },
}

let current: Guard<Principal> | undefined
/** The guard of the listener that is open. */
export function policy(): Guard<Principal> {
  if (current === undefined) throw new Error('Nothing is open.')
  return current
}

export let tls: DevelopmentTls
export let server: GraphqlListener
export let events: AuditEvent[] = []

/** Opens a listener with the schema above. */
export async function open(
  options: Partial<Omit<GraphqlOptions<Principal>, 'yoga'>> & {
    readonly guarded?: 'either'
    readonly yoga?: Partial<GraphqlOptions['yoga']>
  } = {},
): Promise<GraphqlListener> {
  tls ??= await developmentTls()
  events = []
  ran.length = 0
  asked.length = 0
  current = guard({
    authenticate: options.guarded === 'either' ? anyOf(mechanism, keys) : mechanism,
    clock,
    audit: (event) => void events.push(event),
  })
  const { yoga, guarded: _guarded, ...rest } = options
  return (server = await serve({
    tls,
    port: 0,
    guard: current,
    policies,
    carriers: { cookies: { session: 'bearer' }, headers: { 'x-api-key': 'apiKey' } },
    ...rest,
    yoga: { schema: createSchema({ typeDefs, resolvers }), ...yoga },
  }))
}

interface Answer {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  readonly text: string
  readonly json: {
    readonly data?: Record<string, unknown> | null
    readonly errors?: readonly {
      readonly message: string
      readonly path?: readonly (string | number)[]
      readonly extensions?: Record<string, unknown>
    }[]
  }
}

interface Ask {
  readonly method?: string
  readonly path?: string
  readonly token?: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

/** One request of no client. */
export function ask(
  { method = 'POST', path = '/graphql', token, headers = {}, body }: Ask,
  trust: ClientTlsBundle = tls.client,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    nodeRequest(
      {
        ...secureClientOptions(trust, { host: 'localhost' }),
        port: server.port,
        method,
        path,
        agent: false,
        headers: {
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(method === 'POST' && { 'content-type': 'application/json' }),
          ...headers,
        },
      },
      (incoming) => {
        let text = ''
        incoming.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
        incoming.on('error', reject)
        incoming.on('end', () => {
          let json: Answer['json'] = {}
          try {
            json = JSON.parse(text) as Answer['json']
          } catch {
            // Not every answer is JSON.
          }
          resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, json })
        })
      },
    )
      .on('error', reject)
      .end(body)
  })
}

/** One operation as alice with these scopes. */
export function run(query: string, scopes = '', variables?: Record<string, unknown>): Promise<Answer> {
  return ask({ token: `alice.${scopes}`, body: JSON.stringify({ query, variables }) })
}

/** The codes of the errors of an answer, by path. */
export function codes({ json }: Answer): Record<string, unknown> {
  return Object.fromEntries((json.errors ?? []).map(({ path = [], extensions }) => [path.join('.'), extensions?.['code']]))
}

/** A WebSocket of no client: what came, and how it ended. */
export class Bare {
  readonly messages: { readonly type: string; readonly id?: string; readonly payload?: never }[] = []
  readonly socket: WebSocket
  readonly closed: Promise<string>
  status = 101

  constructor(init: { readonly headers?: Record<string, string>; readonly protocol?: string; readonly trust?: ClientTlsBundle } = {}) {
    this.socket = new WebSocket(`wss://localhost:${server.port}/graphql`, init.protocol ?? 'graphql-transport-ws', {
      ...secureClientOptions(init.trust ?? tls.client, { host: 'localhost' }),
      headers: init.headers ?? {},
    })
    this.socket.on('message', (data: Buffer) => void this.messages.push(JSON.parse(data.toString()) as Bare['messages'][number]))
    this.socket.on('error', () => undefined)
    this.socket.on('unexpected-response', (_request, incoming) => {
      this.status = incoming.statusCode ?? 0
      this.socket.terminate()
    })
    this.closed = new Promise((resolve) => this.socket.on('close', (code, reason) => resolve(`${code} ${String(reason)}`.trim())))
  }

  async send(message: unknown): Promise<this> {
    if (this.socket.readyState === WebSocket.CONNECTING)
      await new Promise((resolve) => this.socket.once('open', resolve).once('close', resolve))
    this.socket.send(typeof message === 'string' ? message : JSON.stringify(message), () => undefined)
    return this
  }

  init(token?: string): Promise<this> {
    return this.send({ type: 'connection_init', ...(token !== undefined && { payload: { authorization: `Bearer ${token}` } }) })
  }

  subscribe(query: string, id = '1'): Promise<this> {
    return this.send({ id, type: 'subscribe', payload: { query } })
  }

  /** Waits for a message of a type. */
  async got(type: string, count = 1): Promise<Bare['messages'][number]> {
    const end = performance.now() + 3_000
    for (;;) {
      const found = this.messages.filter((message) => message.type === type)[count - 1]
      if (found !== undefined) return found
      if (performance.now() > end) throw new Error(`No ${type} (${count}) came: ${JSON.stringify(this.messages)}`)
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  }
}

/** Waits until something holds. */
export async function until(what: string, holds: () => boolean): Promise<void> {
  const end = performance.now() + 1_000
  while (!holds()) {
    if (performance.now() > end) throw new Error(`${what} did not happen.`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
